"""Transcodio's language. Its golden files are one file's conversation each:

# a remark
> the form's fields, as JSON
@ the clock, in seconds
! what the engine says: a name and its fields as a JSON array
open, heard, complete, fail, answer: what the door asks for, with its arguments as JSON
< what the client is sent; a line's end is written out
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.events import Pause, Word, WordEnd
from signaling.dialects.sse import Asked, Telling, answer
from signaling.transcription import Recorder
from tests.signaling.dialects.conversation import EVENTS, golden

READ = 30.0  # seconds of the file that are decoded when an event comes


def play(text: str) -> str:
    """A golden file as the dialect makes it."""
    return "".join(f"{line}\n" for line in played(text))


def played(text: str) -> Iterator[str]:
    asked, now = Asked(), 0.0
    telling, said = Telling("en", asked), Recorder()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "<":
            continue
        yield line
        if kind == ">":
            asked = Asked.read({name: [value] for name, value in json.loads(rest).items()})
            telling = Telling("en", asked)
        elif kind == "@":
            now = float(rest)
        elif kind == "!":
            name, _, values = rest.partition(" ")
            event = EVENTS[name](*json.loads(values))
            said.hear(event, READ)
            yield from shown(telling.progress(event, READ))
        elif kind == "answer":
            yield from shown(answer(said.transcript(float(rest)), "en", asked))
        elif kind != "#":
            yield from shown(told(telling, kind, [json.loads(value) for value in split(rest)], now))


def told(telling: Telling, verb: str, values: list[Any], now: float) -> str:
    match verb:
        case "open":
            return telling.open(values[0], now)
        case "heard":
            return telling.heard(values[0], values[1], now)
        case "complete":
            return telling.complete(*values)
        case "fail":
            return telling.fail(*values)
    raise AssertionError(verb)


def split(text: str) -> list[str]:
    """JSON values with spaces between them."""
    values, decoder = [], json.JSONDecoder()
    while text := text.strip():
        _, end = decoder.raw_decode(text)
        values.append(text[:end])
        text = text[end:]
    return values


def shown(text: str) -> Iterator[str]:
    assert "\n" not in text.replace("\r\n", "")
    for line in text.split("\r\n")[:-1]:
        yield rf"< {line}\r\n"
    if not text.endswith("\r\n") and text:
        yield f"< {text}"


@pytest.mark.parametrize("name", ["sse", "sse_failed", "sse_silent", "sse_answer"])
def test_a_file_is_told_as_written(name: str) -> None:
    assert play(golden(name)) == golden(name)


def test_a_line_of_data_is_one_line_for_every_client() -> None:
    telling = Telling("en", Asked())
    telling.progress(Word("a\u2028b\u0085\r\nc", 0.0), READ)
    [text] = [telling.progress(Pause(1.0), READ)]
    assert len(text.splitlines()) == 3
    assert json.loads(text.splitlines()[1].removeprefix("data: "))["text"] == "a b c"


@pytest.mark.parametrize("said", ["true", "True", "1", "on", "yes"])
def test_an_option_is_asked_for_as_forms_do(said: str) -> None:
    assert Asked.read({"enable_minutes": ["false", said]}) == Asked(minutes=True)
    assert Asked.read({"enable_minutes": [said, "false"], "other": [said]}) == Asked()


def test_what_was_heard_never_goes_back() -> None:
    telling = Telling("en", Asked())
    telling.open(10.0, 0.0)
    assert '"seconds":4.0' in telling.heard(4.0, 10.0, 1.0)
    assert telling.heard(4.0, 10.0, 2.0) == telling.heard(3.0, 10.0, 3.0) == ""


def test_the_words_of_a_segment_carry_their_times() -> None:
    telling = Telling("en", Asked())
    for event in (Word("one", 0.5), WordEnd(0.75), Word("two", 1.0004), WordEnd(60.0)):
        assert telling.progress(event, READ) == ""
    data = telling.progress(Pause(60.0), READ).splitlines()[1].removeprefix("data: ")
    assert json.loads(data)["words"] == [
        {"word": "one", "start": 0.5, "end": 0.75},
        {"word": "two", "start": 1.0, "end": 3.0},  # the rest was silence
    ]
