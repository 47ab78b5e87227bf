"""Our own language: one JSON object a message, on the data channel and in server-sent events.

    server: ready, word, word_end, partial, pause, mark, missed, ended  (each with its seq), error
    client: flush, clear, mark, finish

It may grow: a client ignores what it does not know. Times are seconds of the caller's audio, to the millisecond.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.events import Missed
from signaling.commands import Clear, Command, Finish, Flush, MarkAt
from signaling.dialects.base import Message
from signaling.errors import BadMessage, TooLarge
from signaling.events import Ended, Entry

MESSAGE_LIMIT = 16_384  # bytes of one message from a client
MARK_LIMIT = 2**53  # marks are integers that JavaScript can hold
VERBS: dict[str, Command] = {"flush": Flush(), "clear": Clear(), "finish": Finish()}


class Native:
    """The native dialect. It keeps no state, so one serves everyone."""

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
    """The object that a JSON text message holds. Raises TooLarge or BadMessage."""
    if not isinstance(message, str):
        raise BadMessage("Messages are JSON text, not binary.")
    if len(message) > limit:
        raise TooLarge(f"A message may have {limit} characters.")
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
    match entry.event:
        case Word(text, start):
            latency = {} if entry.latency is None else {"latency": round(entry.latency, 3)}
            return {"type": "word", "text": text, "start": round(start, 3), **latency}
        case WordEnd(stop):
            return {"type": "word_end", "stop": round(stop, 3)}
        case Partial(text):
            return {"type": "partial", "text": text}
        case Pause(at):
            return {"type": "pause", "at": round(at, 3)}
        case Mark(id):
            return {"type": "mark", "id": id}
        case Missed(start, stop):
            return {"type": "missed", "start": round(start, 3), "stop": round(stop, 3)}
        case Ended(reason):
            return {"type": "ended", "reason": reason}
        case Step():
            return {}  # twelve a second, and nothing that a page needs
