"""Words to cues, and cues to WebVTT and SubRip."""

import io
import itertools
import re

import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from signaling.captions import (
    LINE,
    LINES,
    LONGEST,
    VTT_OPENING,
    Cue,
    Cues,
    Spoken,
    cues_of,
    lines_of,
    milliseconds,
    reading_time,
    srt,
    vtt,
)

CLOCK = r"\d{2,}:[0-5]\d:[0-5]\d"
TIMED_VTT = re.compile(rf"({CLOCK}\.\d{{3}}) --> ({CLOCK}\.\d{{3}})\n(?:[^\n]+\n)+\n")
seconds = st.floats(0, 100_000)
words = st.builds(Spoken, st.text(max_size=60), seconds, seconds)
paces = st.tuples(
    st.text("abcdefg", min_size=1, max_size=14), st.floats(0.02, 1.5), st.sampled_from((0.0, 0.1, 0.9, 4.0))
)


def spoken(text: str, start: float = 0.0, each: float = 0.3) -> list[Spoken]:
    """The words of a text, one after the other."""
    return [Spoken(word, start + at * each, start + (at + 1) * each) for at, word in enumerate(text.split())]


def shown(cues: list[Cue]) -> list[str]:
    return ["|".join(cue.lines) for cue in cues]


def test_a_few_words_are_one_line_from_the_first_to_the_last() -> None:
    assert cues_of([spoken("it was the best of times,", 1.0)]) == [Cue(1_000, 2_800, ("it was the best of times,",))]


def test_a_long_sentence_is_cut_where_two_lines_are_full() -> None:
    text = "we had everything before us we had nothing before us we were all going direct to Heaven and the rest of it"
    cues = cues_of([spoken(text, each=0.1)])
    assert shown(cues) == [
        "we had everything before us we had nothing|before us we were all going direct to",
        "Heaven and the rest of it",
    ]
    assert cues[0].stop <= cues[1].start


def test_a_cue_lasts_seven_seconds_at_most() -> None:
    cues = cues_of([spoken("so slowly does he speak to us today", each=1.5)])
    assert all(cue.stop - cue.start <= 1000 * LONGEST for cue in cues)
    assert " ".join(line for cue in cues for line in cue.lines) == "so slowly does he speak to us today"


def test_a_gap_that_nobody_told_of_is_a_pause() -> None:
    assert shown(cues_of([[*spoken("one two"), *spoken("three", 3.0)]])) == ["one two", "three"]


def test_a_sentence_that_fills_a_line_ends_its_cue() -> None:
    text = "This is a sentence of more than forty-two letters. Another."
    assert shown(cues_of([spoken(text)]))[-1] == "Another."
    assert shown(cues_of([spoken("No. Yes. Well.")])) == ["No. Yes. Well."]


def test_a_short_word_is_shown_for_a_while_but_not_into_the_next() -> None:
    cues = Cues()
    cues.add(Spoken("yes", 1.0, 1.1))
    assert cues.close() == [Cue(1_000, 1_700, ("yes",))]
    cues.add(Spoken("no", 1.4, 1.5))
    assert cues.close(before=1.9) == [Cue(1_700, 1_900, ("no",))]
    assert cues.close() == []


def test_what_was_said_fast_stays_until_it_is_read_but_not_into_the_next() -> None:
    fast = "forty-two letters take two and a half secs"
    [alone] = cues_of([spoken(fast, 1.0, each=0.1)])
    assert (alone.start, alone.stop) == (1_000, 1_000 + milliseconds(42 / 17))
    [first, second] = cues_of([spoken(fast, 1.0, each=0.1), spoken("next", 2.5)])
    assert (first.stop, second.start) == (2_500, 2_500)


def test_live_captions_fall_no_further_behind_however_fast_one_speaks() -> None:
    cues, shown_at = Cues(), []
    for at in range(20):
        for word in spoken("so many letters in every second of it", 1.5 * at, each=0.15):
            cues.add(word)
        shown_at += [cue.start / 1000 - 1.5 * at for cue in cues.close()]
    assert max(shown_at) < 1


def test_no_cue_goes_on_over_the_end_of_an_utterance() -> None:
    assert shown(cues_of([spoken("one two"), spoken("three", 0.7)])) == ["one two", "three"]
    assert cues_of([]) == cues_of([[]]) == []


def test_an_end_that_was_told_after_the_silence_is_not_the_words_own() -> None:
    [first, second] = cues_of([[Spoken("late", 1.0, 30.0), Spoken("next", 30.0, 30.5)]])
    assert (first.stop, second.start) == (3_000, 30_000)


def test_a_word_without_letters_is_nothing() -> None:
    assert cues_of([[Spoken(" \n ", 1.0, 2.0), Spoken("", 1.0, 2.0)]]) == []


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
    cues = cues_of([said])
    assert all(cue.start < cue.stop for cue in cues)
    assert all(before.stop <= cue.start for before, cue in itertools.pairwise(cues))
    assert " ".join(line for cue in cues for line in cue.lines).split() == " ".join(w.text for w in said).split()
    for cue in cues:
        assert len(cue.lines) <= LINES or any(len(word) > LINE for line in cue.lines for word in line.split())
        block = vtt(cue)
        assert TIMED_VTT.fullmatch(block.replace("\r", "").replace("\0", "")), block
        assert block.count("-->") == 1
        assert srt(1, cue).count("-->") == 1


def follow(said: list[tuple[str, float, float]]) -> list[Spoken]:
    """Words one after the other: their letters, how long each takes, and the silence behind it."""
    told: list[Spoken] = []
    now = 0.0
    for text, takes, quiet in said:
        told.append(Spoken(text, now, now + takes))
        now += takes + quiet
    return told


@given(st.lists(st.lists(paces, max_size=30), max_size=4))
def test_every_cue_stays_for_as_long_as_broadcasters_ask_or_until_the_next(
    said: list[list[tuple[str, float, float]]],
) -> None:
    flat = follow([word for utterance in said for word in utterance])
    utterances = [[flat.pop(0) for _ in utterance] for utterance in said if utterance]
    cues = cues_of(utterances)
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        is_read = cue.stop - cue.start >= milliseconds(reading_time(cue.lines)) - 1
        assert is_read or (following and cue.stop == following.start)
        assert cue.stop - cue.start <= milliseconds(LONGEST) + 1
    starts = {milliseconds(utterance[0].start) for utterance in utterances}
    assert starts <= {cue.start for cue in cues}, "a cue begins with its first word"


@given(st.lists(words, max_size=10))
def test_a_parser_reads_back_what_was_written(said: list[Spoken]) -> None:
    cues = cues_of([said])
    assert read(VTT_OPENING + "".join(map(vtt, cues)), "vtt") == [(cue.start, cue.stop) for cue in cues]
    if cues:
        assert read("".join(srt(number, cue) for number, cue in enumerate(cues, 1)), "srt") == [
            (cue.start, cue.stop) for cue in cues
        ]


def read(text: str, kind: str) -> list[tuple[int, int]]:
    """The times of a file's cues, in milliseconds."""
    file = webvtt.from_buffer(io.BytesIO(text.encode("utf-8", "replace")), format=kind, strict=kind == "vtt")
    return [(moment(cue.start), moment(cue.end)) for cue in file.captions]


def moment(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    whole, _, thousandths = seconds.partition(".")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1_000 + int(thousandths)
