import asyncio
import time

import pytest

from signaling.lag import MOST, PERIOD, LoopLag, lags
from tests.signaling.house import House, until


@pytest.mark.parametrize(
    ("late", "told"),
    [(-0.001, [0.0]), (0.0, [0.0]), (0.02, [0.02]), (0.12, [0.12, 0.07, 0.02])],
)
def test_every_tick_that_was_missed_counts_from_when_it_was_due(late: float, told: list[float]) -> None:
    assert lags(10.0, 10.0 + late) == pytest.approx(told)


def test_a_very_long_stop_is_told_within_a_bound() -> None:
    told = lags(0.0, 10 * MOST * PERIOD)
    assert (len(told), told[0]) == (MOST, 10 * MOST * PERIOD)


async def test_a_loop_that_is_held_up_says_so() -> None:
    told: list[float] = []
    lag = LoopLag(told.append)
    lag.start()
    await until(lambda: bool(told))
    before = len(told)
    time.sleep(4 * PERIOD)  # noqa: ASYNC251 (to hold the loop up is what this is about)
    await until(lambda: len(told) > before)
    assert len(told) - before >= 3
    assert max(told[before:]) >= 2 * PERIOD
    lag.stop()


async def test_a_lag_that_was_stopped_tells_no_more() -> None:
    told: list[float] = []
    lag = LoopLag(told.append)
    lag.start()
    lag.stop()
    lag.stop()
    await asyncio.sleep(2 * PERIOD)
    assert told == []


async def test_the_server_tells_its_lag_and_its_tasks(house: House) -> None:
    await until(lambda: house.figure("offhook_loop_lag_seconds_count") > 0)
    before = house.figure("offhook_tasks")
    browser = await house.dial()
    await browser.told("ready")
    assert house.figure("offhook_tasks") > before > 0
