import json
from typing import Any

import pytest

from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.events import Digit, Missed, Quality
from signaling.commands import Clear, Command, Finish, Flush, MarkAt
from signaling.dialects.native import MESSAGE_LIMIT, Native
from signaling.errors import BadMessage, TooLarge
from signaling.events import Ended, Entry, SessionEvent

GOLDEN_OUT: list[tuple[SessionEvent, float | None, dict[str, Any]]] = [
    (Word("café", 1.23456), None, {"type": "word", "text": "café", "start": 1.235}),
    (Word("a", 0.0), 0.70049, {"type": "word", "text": "a", "start": 0.0, "latency": 0.7}),
    (WordEnd(2.0), None, {"type": "word_end", "stop": 2.0}),
    (Partial("and so"), None, {"type": "partial", "text": "and so"}),
    (Pause(3.5), None, {"type": "pause", "at": 3.5}),
    (Mark(7), None, {"type": "mark", "id": 7}),
    (Missed(1.0, 1.5), None, {"type": "missed", "start": 1.0, "stop": 1.5}),
    (Digit("#", 4.0, 0.1199), None, {"type": "digit", "digit": "#", "at": 4.0, "duration": 0.12}),
    (
        Quality(0.1, 0.08333, 0.0, 0.02, 0.04, 0.0031, None, 3.9712),
        None,
        {
            "type": "quality",
            "loss": 0.1,
            "repaired": 0.083,
            "late": 0.0,
            "reordered": 0.02,
            "concealed": 0.04,
            "jitter": 0.003,
            "round_trip": None,
            "mos": 3.971,
        },
    ),
    (Ended("bye"), None, {"type": "ended", "reason": "bye"}),
]
GOLDEN_IN: list[tuple[str, Command]] = [
    ('{"type":"flush"}', Flush()),
    ('{"type":"clear"}', Clear()),
    ('{"type":"finish"}', Finish()),
    ('{"type":"mark","id":7}', MarkAt(7)),
    ('{"type":"mark","id":-9007199254740992,"more":1}', MarkAt(-(2**53))),
]


@pytest.mark.parametrize(("event", "latency", "wire"), GOLDEN_OUT)
def test_each_event_is_one_message_with_its_number(
    event: SessionEvent, latency: float | None, wire: dict[str, Any]
) -> None:
    (message,) = Native().encode(Entry(42, event, latency))
    assert json.loads(message) == {"seq": 42, **wire}


def test_steps_are_not_told() -> None:
    assert Native().encode(Entry(1, Step(1, (0.1, 0.2, 0.3, 0.4), 0.0))) == []


@pytest.mark.parametrize(("wire", "command"), GOLDEN_IN)
def test_each_verb_is_understood(wire: str, command: Command) -> None:
    assert Native().decode(wire) == [command]


@pytest.mark.parametrize(
    "wire",
    [
        b"{}",
        "{}",
        "no",
        "[]",
        '{"type":"speak"}',
        '{"type":"mark"}',
        '{"type":"mark","id":"7"}',
        '{"type":"mark","id":true}',
        '{"type":"mark","id":1.5}',
        '{"type":"mark","id":9007199254740993}',
        '{"type":{}}',
    ],
)
def test_what_cannot_be_read_is_refused(wire: str | bytes) -> None:
    with pytest.raises(BadMessage):
        Native().decode(wire)


def test_a_long_message_is_too_large() -> None:
    with pytest.raises(TooLarge):
        Native().decode(json.dumps({"type": "flush", "padding": "x" * MESSAGE_LIMIT}))


def test_the_greeting_and_the_error_have_their_shape() -> None:
    assert [json.loads(message) for message in Native().ready("abc")] == [{"seq": 0, "type": "ready", "session": "abc"}]
    assert [json.loads(message) for message in Native().error("bad_message", "No.")] == [
        {"type": "error", "code": "bad_message", "message": "No."}
    ]
