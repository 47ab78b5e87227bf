"""Our own language: one JSON object a message, on the data channel and in server-sent events.

    server: ready, word, word_end, partial, pause, mark, missed, digit, quality, ended  (each with its seq), error
    client: flush, clear, mark, finish

It may grow: a client ignores what it does not know. Times are seconds of the caller's audio, to the millisecond.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.events import Mark, Partial, Pause, Word, WordEnd
from media.events import Digit, Missed, Quality
from signaling.commands import Clear, Command, Finish, Flush, MarkAt
from signaling.dialects.base import Message
from signaling.errors import BadMessage, TooLarge
from signaling.events import Ended, Entry

MESSAGE_LIMIT = 16_384  # bytes of one message from a client
PLACES = 3  # of a second
LONG = 128 << 10  # characters: what is longer is audio, one long text ...
PARTS = 100  # ... with few commas and brackets around it
MARK_LIMIT = 2**53  # marks are integers that JavaScript can hold
NAMES: dict[type, str] = {  # a Step has none: there are twelve a second, and a page needs nothing of them
    Word: "word",
    WordEnd: "word_end",
    Partial: "partial",
    Pause: "pause",
    Mark: "mark",
    Missed: "missed",
    Digit: "digit",
    Quality: "quality",
    Ended: "ended",
}
VERBS: dict[str, Command] = {"flush": Flush(), "clear": Clear(), "finish": Finish()}


class Native:
    """The native dialect. It keeps no state, so one serves everyone."""

    steps = False
    strict = False

    def ready(self, session: str) -> Sequence[Message]:
        return [dumps({"seq": 0, "type": "ready", "session": session})]

    def decode(self, message: Message) -> Sequence[Command]:
        fields = loads(message)
        kind = fields.get("type")
        if kind == "mark":
            return [MarkAt(_mark_id(fields.get("id")))]
        if isinstance(kind, str) and kind in VERBS:
            return [VERBS[kind]]
        raise BadMessage(f"The type must be mark, {', '.join(VERBS)}.")

    def encode(self, entry: Entry) -> Sequence[Message]:
        fields = _fields(entry)
        return [dumps({"seq": entry.seq, **fields})] if fields else []

    def error(self, code: str, text: str) -> Sequence[Message]:
        return [dumps({"type": "error", "code": code, "message": text})]


def dumps(fields: Mapping[str, Any]) -> str:
    """One JSON message, compact, with letters as they are."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def loads(message: Message, limit: int = MESSAGE_LIMIT) -> Mapping[str, Any]:
    """The object that a JSON text message holds. Raises TooLarge, also for a long one of many parts, which would take
    everybody's time to read; or BadMessage."""
    if not isinstance(message, str):
        raise BadMessage("Messages are JSON text, not binary.")
    if len(message) > limit:
        raise TooLarge(f"A message may have {limit} characters.")
    if len(message) > LONG and sum(map(message.count, ",[{")) > PARTS:
        raise TooLarge(f"Only a message of audio may have more than {LONG} characters.")
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        raise BadMessage("The message is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadMessage("The message is not a JSON object.")
    return fields


def _mark_id(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MARK_LIMIT:
        raise BadMessage("A mark needs an integer id.")
    return value


def _fields(entry: Entry) -> dict[str, Any]:
    name = NAMES.get(type(entry.event))
    if name is None:
        return {}
    latency = {} if entry.latency is None else {"latency": entry.latency}
    fields = {**asdict(entry.event), **latency}
    return {"type": name, **{key: _rounded(value) for key, value in fields.items()}}


def _rounded(value: object) -> object:
    return round(value, PLACES) if isinstance(value, float) else value
