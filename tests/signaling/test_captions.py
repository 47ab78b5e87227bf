"""Words to cues, and cues to WebVTT and SubRip."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.captions import LINE, LINES, LONGEST, Cue, Cues, Spoken, cues_of, lines_of, milliseconds, srt, vtt

CLOCK = r"\d{2,}:[0-5]\d:[0-5]\d"
TIMED_VTT = re.compile(rf"({CLOCK}\.\d{{3}}) --> ({CLOCK}\.\d{{3}})\n(?:[^\n]+\n)+\n")
seconds = st.floats(0, 100_000)
words = st.builds(Spoken, st.text(max_size=60), seconds, seconds)


def spoken(text: str, start: float = 0.0, each: float = 0.3) -> list[Spoken]:
    """The words of a text, one after the other."""
    return [Spoken(word, start + at * each, start + (at + 1) * each) for at, word in enumerate(text.split())]


def shown(cues: list[Cue]) -> list[str]:
    return ["|".join(cue.lines) for cue in cues]


def test_a_few_words_are_one_line_from_the_first_to_the_last() -> None:
    assert cues_of(spoken("it was the best of times,", 1.0)) == [Cue(1_000, 2_800, ("it was the best of times,",))]


def test_a_long_sentence_is_cut_where_two_lines_are_full() -> None:
    text = "we had everything before us we had nothing before us we were all going direct to Heaven and the rest of it"
    cues = cues_of(spoken(text, each=0.1))
    assert shown(cues) == [
        "we had everything before us we had nothing|before us we were all going direct to",
        "Heaven and the rest of it",
    ]
    assert cues[0].stop <= cues[1].start


def test_a_cue_lasts_seven_seconds_at_most() -> None:
    cues = cues_of(spoken("so slowly does he speak to us today", each=1.5))
    assert all(cue.stop - cue.start <= 1000 * LONGEST for cue in cues)
    assert " ".join(line for cue in cues for line in cue.lines) == "so slowly does he speak to us today"


def test_a_gap_that_nobody_told_of_is_a_pause() -> None:
    assert shown(cues_of([*spoken("one two"), *spoken("three", 3.0)])) == ["one two", "three"]


def test_a_sentence_that_fills_a_line_ends_its_cue() -> None:
    text = "This is a sentence of more than forty-two letters. Another."
    assert shown(cues_of(spoken(text)))[-1] == "Another."
    assert shown(cues_of(spoken("No. Yes. Well."))) == ["No. Yes. Well."]


def test_a_short_word_is_shown_for_a_while_but_not_into_the_next() -> None:
    cues = Cues()
    cues.add(Spoken("yes", 1.0, 1.1))
    assert cues.close() == [Cue(1_000, 1_700, ("yes",))]
    cues.add(Spoken("no", 1.4, 1.5))
    assert cues.close(before=1.9) == [Cue(1_700, 1_900, ("no",))]
    assert cues.close() == []


def test_an_end_that_was_told_after_the_silence_is_not_the_words_own() -> None:
    [first, second] = cues_of([Spoken("late", 1.0, 30.0), Spoken("next", 30.0, 30.5)])
    assert (first.stop, second.start) == (3_000, 30_000)


def test_a_word_without_letters_is_nothing() -> None:
    assert cues_of([Spoken(" \n ", 1.0, 2.0), Spoken("", 1.0, 2.0)]) == []


def test_a_word_longer_than_a_line_has_its_own() -> None:
    assert lines_of(["a", "b" * 50, "c"]) == ("a", "b" * 50, "c")
    assert lines_of(["one"]) == ("one",)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.9996, "00:00:01.000"),
        (59.9999, "00:01:00.000"),
        (3_599.9996, "01:00:00.000"),
        (3_661.5, "01:01:01.500"),
        (400_000.0, "111:06:40.000"),
    ],
)
def test_rounding_carries_into_seconds_minutes_and_hours(at: float, text: str) -> None:
    cue = Cue(milliseconds(at), milliseconds(at) + 1, ("x",))
    assert vtt(cue).startswith(f"{text} --> ")
    assert srt(1, cue).startswith(f"1\n{text.replace('.', ',')} --> ")


def test_what_could_be_markup_is_escaped() -> None:
    block = vtt(Cue(0, 1, ("<b> & --> x", "NOTE y")))
    assert block == "00:00:00.000 --> 00:00:00.001\n&lt;b&gt; &amp; --&gt; x\nNOTE y\n\n"
    assert srt(7, Cue(0, 1, ("a --> b",))) == "7\n00:00:00,000 --> 00:00:00,001\na → b\n\n"


@given(st.lists(words, max_size=40))
def test_whatever_is_said_the_file_can_be_read_and_holds_every_word(said: list[Spoken]) -> None:
    cues = cues_of(said)
    assert all(cue.start < cue.stop for cue in cues)
    assert all(before.stop <= cue.start for before, cue in itertools.pairwise(cues))
    assert " ".join(line for cue in cues for line in cue.lines).split() == " ".join(w.text for w in said).split()
    for cue in cues:
        assert len(cue.lines) <= LINES or any(len(word) > LINE for line in cue.lines for word in line.split())
        block = vtt(cue)
        assert TIMED_VTT.fullmatch(block.replace("\r", "").replace("\0", "")), block
        assert block.count("-->") == 1
        assert srt(1, cue).count("-->") == 1
