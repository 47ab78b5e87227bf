"""Segments of a recording, from what an engine tells of it."""

from engine.events import Partial, Pause, Word, WordEnd
from signaling.captions import Spoken
from signaling.events import SessionEvent
from signaling.segments import LONG, LONGEST, Segment, Segments

READ = 1_000.0


def heard(*events: SessionEvent) -> list[Segment]:
    """The segments of a whole recording."""
    segments = Segments()
    return [done for event in events for done in segments.hear(event, READ)] + segments.close(READ)


def speech(*texts: str, every: float = 0.5) -> list[SessionEvent]:
    """Words without a pause between them."""
    return [Word(text, number * every) for number, text in enumerate(texts)]


def texts(segments: list[Segment]) -> list[str]:
    assert [segment.id for segment in segments] == list(range(len(segments)))
    return [segment.text for segment in segments]


def test_a_segment_ends_where_the_speaker_pauses() -> None:
    one, two = heard(
        *(Word("hello", 0.5), WordEnd(0.9), Word("you", 1.0), WordEnd(1.4), Pause(1.5), Pause(1.5)),
        *(Partial("ag"), Word("again", 2.0), WordEnd(2.5)),
    )
    assert one == Segment(0, (Spoken("hello", 0.5, 0.9), Spoken("you", 1.0, 1.4)))
    assert (one.start, one.stop, one.text) == (0.5, 1.4, "hello you")
    assert two == Segment(1, (Spoken("again", 2.0, 2.5),))


def test_a_second_without_a_word_is_a_pause_where_nobody_tells_of_one() -> None:
    assert texts(heard(Word("one", 0.0), WordEnd(0.4), Word("two", 1.3), WordEnd(1.6), Word("three", 2.6))) == [
        "one two",
        "three",
    ]


def test_a_long_segment_ends_with_a_sentence() -> None:
    words = ["a."] * 16 + ["b"]
    assert [segment.start for segment in heard(*speech(*words))] == [0.0, LONG]


def test_the_longest_segment_ends_anywhere() -> None:
    segments = heard(*speech(*["a"] * 100))
    assert [segment.start for segment in segments] == [0.0, LONGEST, 2 * LONGEST, 3 * LONGEST]
    assert max(segment.stop - segment.start for segment in segments) <= LONGEST


def test_a_word_without_an_end_ends_with_the_pause_or_the_recording() -> None:
    segments = Segments()
    segments.hear(Word("one", 1.0), READ)
    assert segments.hear(Pause(1.25), READ)[0].stop == 1.25
    segments.hear(Word("two", 2.0), 2.125)
    assert segments.close(2.125)[0].stop == 2.125


def test_the_silence_behind_a_word_is_not_the_word() -> None:
    assert heard(Word("one", 1.0), WordEnd(30.0))[0].stop == 3.0


def test_a_word_of_nothing_is_no_word() -> None:
    assert heard(Word(" ", 1.0), WordEnd(1.1), Pause(1.2)) == []
    assert texts(heard(Word(" a  b ", 1.0))) == ["a b"]


def test_silence_has_no_segments() -> None:
    assert heard(Pause(1.0)) == []
