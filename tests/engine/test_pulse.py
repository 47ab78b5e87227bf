"""Whether the engine's process is well, by what it says and by its silence."""

from engine.base import Stats
from engine.pulse import HOPELESS, SILENT, Pulse

WELL = Stats("ready", 4, 1)
STUCK = Stats("stuck", 4, 1)


def test_a_child_is_stuck_until_it_is_ready() -> None:
    pulse = Pulse()
    assert pulse.stuck
    pulse.heard(WELL)
    assert not pulse.stuck


def test_a_silent_child_is_stuck_until_it_speaks() -> None:
    pulse = Pulse()
    pulse.heard(WELL)
    for _ in range(SILENT):
        assert not pulse.stuck
        pulse.tick()
    assert pulse.stuck
    pulse.heard(WELL)
    assert not pulse.stuck


def test_a_child_may_say_itself_that_its_engine_is_stuck() -> None:
    pulse = Pulse()
    pulse.heard(STUCK)
    assert pulse.stuck
    assert pulse.stats == STUCK


def test_a_child_that_stays_stuck_is_hopeless_silent_or_not() -> None:
    for words in ([], [STUCK]):
        pulse = Pulse()
        pulse.heard(WELL)
        for _ in range(HOPELESS):
            assert not pulse.hopeless
            pulse.tick()
            for word in words:
                pulse.heard(word)
        assert pulse.hopeless


def test_a_child_that_beats_is_never_hopeless() -> None:
    pulse = Pulse()
    for _ in range(10 * HOPELESS):
        pulse.tick()
        pulse.heard(WELL)
    assert not pulse.hopeless
