"""What the measurement of the capacity makes of what it sees."""

import pytest

from bench.capacity.__main__ import missed
from bench.capacity.knocks import Refusal
from bench.capacity.machine import between, bucket, gauge, slope
from bench.capacity.speakers import Script, chain, moshi_words, token_words, yap_words
from bench.capacity.words import Expected, Heard, compare, summary
from engine.base import SAMPLE_RATE
from engine.events import Word
from engine.scripted import say
from engine.wire import encode
from signaling.metrics import Metrics

SAID = [Expected("One", 0.5), Expected("two,", 1.0), Expected("three.", 1.5)]
SENT = [0.08 * number for number in range(1, 25)]


def test_words_are_late_by_the_message_that_holds_their_end() -> None:
    words = compare(SAID, [Heard("one", 1.0), Heard("Two", 1.5), Heard("three", 3.0)], SENT)
    assert (words.expected, words.errors, words.missing) == (3, 0, 0)
    assert words.latencies == pytest.approx([1.0 - SENT[6], 1.5 - SENT[12], 3.0 - SENT[18]])


def test_words_that_are_missing_or_others_are_counted_and_tell_no_latency() -> None:
    words = compare(SAID, [Heard("one", 1.0), Heard("tree", 3.0)], SENT)
    assert (words.errors, words.missing, len(words.latencies)) == (2, 1, 1)


def test_words_that_are_said_again_are_compared_with_their_own_time() -> None:
    again = [
        Expected(text, start + stop)
        for start in (0.0, 1.5, 3.0, 4.5)
        for text, stop in zip("abc", (0.5, 1.0, 1.5), strict=True)
    ]
    sent = [0.08 * number for number in range(1, 80)]
    heard = [Heard(word.text, word.stop + 1.0) for word in again]
    heard[1] = Heard("else", 2.0)
    assert max(compare(again, heard, sent).latencies) < 1.0


def test_all_callers_words_are_summed_up() -> None:
    words = compare(SAID, [Heard("one", 1.0), Heard("two", 1.5), Heard("three", 2.0)], SENT)
    figures = summary([words, compare(SAID, [Heard("one", 1.0)], SENT)])
    assert (figures["words"], figures["wer_to_file"], figures["missing_to_file"]) == (6, 0.3333, 0.3333)
    assert figures["latency_worst"] == pytest.approx(2.0 - SENT[18], abs=1e-3)


def test_recordings_are_said_one_after_another_with_their_words_moved() -> None:
    clip = Script(say(["alpha"]), [Expected("alpha", 0.32)])
    script = chain([clip, Script(say(["bravo", "echo"]), [Expected("echo", 0.9)])], 1, 2.5)
    assert [(word.text, round(word.stop, 2)) for word in script.words] == [("echo", 0.9), ("alpha", 2.44)]
    assert script.seconds == pytest.approx(0.56 * 3 + 2.0, abs=1 / SAMPLE_RATE)


def test_words_are_found_in_each_language() -> None:
    assert token_words('{"text":"so","final":false}') == ["so"]
    assert token_words('{"status":"complete"}') == []
    assert yap_words('{"type":"Word","word":"so"}') == ["so"]
    assert yap_words('{"type":"Final","text":"so"}') == []
    assert moshi_words(encode(Word("so", 1.0), plain=True)) == ["so"]


@pytest.mark.parametrize(
    ("told", "code", "busy"),
    [
        ("{'type': 'Error', 'message': 'no free channels'}", 1013, True),
        ("All lines are busy; please try again in a few seconds.", 503, True),
        ("All lines are busy; please try again in a few seconds.", 1011, False),
        ("The recognizer is not running.", 1013, False),
    ],
)
def test_only_a_full_house_is_a_refusal_as_it_should_be(told: str, code: int, busy: bool) -> None:
    assert Refusal("/", told, code).is_busy == busy


def test_what_came_between_two_readings_of_the_lag_is_judged() -> None:
    metrics = Metrics()
    metrics.lag(3.0)
    before = bucket(metrics.text().decode(), "offhook_loop_lag_seconds")
    for number in range(200):
        metrics.lag(0.3 if number == 7 else 0.0015)
    figures = between(before, bucket(metrics.text().decode(), "offhook_loop_lag_seconds"))
    assert figures == {"samples": 200, "p99_at_most": 0.002, "above_50_ms": 0.005}


def test_a_figure_without_labels_is_read() -> None:
    metrics = Metrics()
    metrics.watch_tasks(lambda: 7)
    assert gauge(metrics.text().decode(), "offhook_tasks") == 7


def test_growth_is_told_by_the_minute() -> None:
    assert slope([0, 30, 60, 90], [100, 101, 102, 103]) == pytest.approx(2.0)


GOOD = {
    "latency_p50": 0.9,
    "latency_p95": 1.6,
    "lost_on_the_way": 0,
    "not_finished": 0,
}
HELD = {"server_mib": 0.1, "engine_mib": 0.2, "threads": 0.0, "descriptors": 0.1, "tasks": -0.1}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, []),
        ({"latency_p95": 1.81}, ["words came too late (p95)"]),
        ({"let_in": 1}, ["a caller too many was let in"]),
        ({"knocks": 0}, ["no caller too many has knocked"]),
        ({"loop_lag": {"above_50_ms": 0.02}}, ["the event loop was late"]),
        ({"lost_on_the_way": 1}, ["words were lost on the way"]),
    ],
)
def test_each_goal_that_is_missed_is_said(change: dict[str, object], complaint: list[str]) -> None:
    full = {**GOOD, "sessions": 6, "let_in": 0, "knocks": 9, "loop_lag": {"above_50_ms": 0.0}, **change}
    figures = {
        "capacity": 6,
        "full": full,
        "alone": {"latency_p50": 0.8, "latency_p95": 1.5},
        "soak": {**GOOD, "slopes_per_minute": HELD},
    }
    assert missed(figures) == complaint
