"""Words whose ends are missing, late, or told once too often."""

from collections.abc import Sequence

import pytest

from engine.ends import SPOKEN, Ends
from engine.events import Event, Mark, Partial, Word, WordEnd


def told(events: Sequence[Event], fed: float = 60.0) -> list[Event]:
    ends = Ends()
    return [told for event in events for told in ends.hear(event, fed)] + ends.close(fed)


def test_what_has_its_ends_is_left_as_it_is() -> None:
    events: list[Event] = [Word("one", 1.0), WordEnd(1.3), Partial("t"), Word("two", 2.0), WordEnd(2.4), Mark(1)]
    assert told(events) == events


def test_a_word_ends_when_the_next_one_begins_if_that_is_soon() -> None:
    assert told([Word("one", 1.0), Word("two", 1.2), WordEnd(1.5)])[1] == WordEnd(1.2)
    assert told([Word("one", 1.0), Word("two", 9.0), WordEnd(9.5)])[1] == WordEnd(1.0 + SPOKEN)


@pytest.mark.parametrize(("fed", "stop"), [(1.25, 1.25), (60.0, 1.0 + SPOKEN), (0.5, 1.0)])
def test_a_word_ends_before_a_mark_and_before_the_end(fed: float, stop: float) -> None:
    assert told([Word("one", 1.0), Mark(7)], fed) == [Word("one", 1.0), WordEnd(stop), Mark(7)]
    assert told([Word("one", 1.0)], fed) == [Word("one", 1.0), WordEnd(stop)]


def test_an_end_that_comes_too_late_is_left_out() -> None:
    assert told([Word("one", 1.0), Mark(7), WordEnd(3.0), Word("two", 3.0), WordEnd(3.2)]) == [
        *(Word("one", 1.0), WordEnd(1.5), Mark(7)),
        *(Word("two", 3.0), WordEnd(3.2)),
    ]
