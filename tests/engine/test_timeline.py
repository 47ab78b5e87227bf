"""The model's time and the caller's."""

from hypothesis import given
from hypothesis import strategies as st

from engine.base import SAMPLE_RATE
from engine.timeline import INJECTIONS_KEPT, Timeline

SECOND = SAMPLE_RATE


def test_without_silence_the_times_are_the_same() -> None:
    timeline = Timeline()
    timeline.hear(3 * SECOND)
    assert timeline.at(2.5) == 2.5


def test_injected_silence_takes_no_time() -> None:
    timeline = Timeline()
    timeline.hear(SECOND)
    timeline.hear(0, 2 * SECOND)
    timeline.hear(SECOND)
    assert [timeline.at(seconds) for seconds in (0.5, 1.0, 2.0, 3.0, 3.5)] == [0.5, 1.0, 1.0, 1.0, 1.5]


def test_a_padded_frame_is_silence_behind_its_audio() -> None:
    timeline = Timeline()
    timeline.hear(SECOND // 2, SECOND // 2)
    timeline.hear(SECOND)
    assert timeline.at(0.25) == 0.25
    assert timeline.at(1.5) == 1.0


def test_after_a_reset_times_go_on_from_what_was_fed() -> None:
    timeline = Timeline()
    timeline.hear(SECOND, SECOND)
    timeline.restart(5 * SECOND)
    timeline.hear(SECOND)
    assert timeline.at(0.5) == 5.5


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=300))
def test_the_end_of_what_was_heard_is_the_end_of_what_was_fed(turns: list[tuple[int, int]]) -> None:
    """However often silence is injected, also beyond what is kept one by one."""
    timeline = Timeline()
    live = injected = 0
    for turn in turns:
        timeline.hear(*turn)
        live, injected = live + turn[0], injected + turn[1]
    assert round(timeline.at((live + injected) / SECOND) * SECOND) == live


def test_times_stay_right_beyond_the_injections_that_are_kept() -> None:
    timeline = Timeline()
    for _ in range(3 * INJECTIONS_KEPT):
        timeline.hear(SECOND, SECOND)
    heard = 6 * INJECTIONS_KEPT
    assert timeline.at(heard - 1.5) == heard / 2 - 0.5
