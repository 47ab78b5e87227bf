"""Whole calls through bad networks: what is said comes, in order, and an outage does not end the call."""

from collections.abc import Callable

import pytest

from engine.scripted import WORDS
from media.impair import PRESETS, Impairment, Outage
from tests.signaling.house import OpenHouse, until

PATIENCE = 40.0  # seconds for a connection: where its packets are lost, DTLS tries again after 1, 3, 7 and 15
Bend = Callable[[Impairment], str]


@pytest.fixture
def bend(monkeypatch: pytest.MonkeyPatch) -> Bend:
    """`bend(impairment)`: a network of the test's own, and its name for `--impair`."""

    def name(impairment: Impairment) -> str:
        monkeypatch.setitem(PRESETS, "own", impairment)
        return "own"

    return name


@pytest.mark.parametrize(
    "impairment",
    [Impairment(loss=0.05, jitter=0.05, reordering=True), PRESETS["loss-10"]],
    ids=["5 % and 50 ms of jitter", "10 %"],
)
async def test_every_word_comes_through_loss(open_house: OpenHouse, bend: Bend, impairment: Impairment) -> None:
    house = await open_house(impair=bend(impairment), connect_timeout=PATIENCE)
    browser = await house.dial()
    voice = await browser.speak(WORDS)
    await voice.told("ready", within=PATIENCE)
    first = await voice.told("word", within=PATIENCE)
    await voice.said()
    voice.send(type="finish")
    await voice.told("ended", within=PATIENCE)
    assert voice.words == list(WORDS[WORDS.index(first["text"]) :])
    assert len(voice.words) > len(WORDS) // 2


async def test_a_second_without_any_network_is_survived(open_house: OpenHouse, bend: Bend) -> None:
    house = await open_house(impair=bend(Impairment(outage=Outage(every=6.0, lasts=1.0))))
    _, voice = await house.call(*WORDS[:14])
    await voice.said()
    voice.send(type="finish")
    await voice.told("ended", within=20.0)
    missed = [word for word in WORDS[:14] if word not in voice.words]
    assert voice.words == [word for word in WORDS[:14] if word in voice.words]
    assert 1 <= len(missed) <= 6
    assert voice.words[-1] == WORDS[13]
    assert voice.of("missed")
    await until(lambda: house.switchboard.live == 0)


async def test_the_log_tells_what_the_network_did(open_house: OpenHouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    house = await open_house(impair="loss-5", connect_timeout=PATIENCE)
    browser = await house.dial()
    voice = await browser.speak(WORDS[:2])
    await voice.told("word", within=PATIENCE)
    await browser.send(type="bye")
    await browser.closed()
    await until(lambda: "network_forwarded=" in caplog.text)
