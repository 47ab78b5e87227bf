"""What listeners are sent, as text."""

from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.events import Missed
from signaling.events import Ended, Entry, SessionEvent
from signaling.feeds import CaptionFeed, EventFeed, Feed


def told(feed: Feed, *events: SessionEvent) -> list[str]:
    return [feed.tell(Entry(number, event)) for number, event in enumerate(events, start=1)]


def test_an_event_has_its_number_and_a_step_is_not_told() -> None:
    assert told(EventFeed(), Word("hi", 1.0), Step(1, (), 0.0)) == [
        'id: 1\ndata: {"seq":1,"type":"word","text":"hi","start":1.0}\n\n',
        "",
    ]


def test_a_reader_that_is_let_go_is_told_in_its_own_language() -> None:
    assert EventFeed().fail("slow_reader", "too slow") == (
        'data: {"type":"error","code":"slow_reader","message":"too slow"}\n\n'
    )
    assert CaptionFeed().fail("slow_reader", "a --> b") == "NOTE slow_reader: a --&gt; b\n\n"


def test_a_cue_is_written_once_the_speaker_pauses() -> None:
    texts = told(
        CaptionFeed(),
        *(Partial("hel"), Word("hello", 1.0), WordEnd(1.4), Missed(1.4, 1.5), Word("you", 1.5), WordEnd(2.0), Mark(1)),
        *(Pause(2.0), Pause(2.0)),
    )
    assert texts == [*[""] * 7, "00:00:01.000 --> 00:00:02.000\nhello you\n\n", ""]


def test_the_last_words_are_written_at_the_end_also_where_one_has_no_end() -> None:
    cue = "00:00:01.000 --> 00:00:01.700\nhello\n\n"
    assert told(CaptionFeed(), Word("hello", 1.0), Ended("bye")) == ["", cue]
    feed = CaptionFeed()
    told(feed, Word("hello", 1.0))
    assert (feed.close(), feed.close()) == (cue, "")


def test_a_word_without_an_end_ends_when_the_next_begins() -> None:
    *_, last = told(CaptionFeed(), Word("one", 1.0), Word("two", 1.2), WordEnd(3.0), Pause(3.0))
    assert last == "00:00:01.000 --> 00:00:03.000\none two\n\n"
