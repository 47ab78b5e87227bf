"""The messages between an engine's client and its server: moshi-server's, and our own beside them.

Each message is one msgpack map with string keys and a `type`. moshi-server's own (plain):

    client  Init  Audio{pcm: [float]}  OggOpus{data}  Marker{id}
    server  Ready  Word{text, start_time}  EndWord{stop_time}  Marker{id}  Step{step_idx, prs, buffered_pcm}
            Error{message}

Ours, where both sides offer them:

    client  Init{offhook, backlog, job}  Pcm{pcm: float32 LE}  Flush  Clear  Finish
    server  Ready{offhook}  Partial{text}  Pause{at}  Fed{samples}  Finished  Text{text}  Error{message, code}
            Stats{state, capacity, live, restarts, admitting, load, upkeep}

How each finds out about the other on a WebSocket: the server's Ready carries `offhook` (moshi clients ignore a field
they do not know). A client that knows it answers with Init{offhook}; from then on both speak ours. A client that sees
a Ready without the field never sends Init, so a moshi-server meets nothing that it does not know.

Pure: bytes to messages and back. Whatever is malformed raises WireError with a sentence that names the fault.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar, cast, get_args

import msgpack
import numpy as np

from engine.base import CHUNK_SAMPLES, LIVE_BACKLOG, PCM, SAMPLE_RATE, STEP_BOUNDS, Load, Stats, Upkeep
from engine.errors import EngineError, Full, Misuse, Overrun, Unavailable
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb

VERSION = 1
MESSAGE_LIMIT = 1 << 20  # bytes
WINDOW = 2 * CHUNK_SAMPLES  # samples that a client may have sent without having been told Fed
INTEGER_LIMIT = 1 << 63  # moshi-server's marker ids are i64

Job = Literal["stream", "clip"]

_Message = TypeVar("_Message")


class WireError(Misuse):
    """The peer sent what is not a message; the text names the fault."""


@dataclass(frozen=True, slots=True)
class Init:
    """A client's opening: its `version` of our language (0: plain), and what it wants of the connection."""

    version: int = VERSION
    backlog: float = LIVE_BACKLOG
    job: Job = "stream"


@dataclass(frozen=True, slots=True)
class OggOpus:
    """Pages of an Ogg Opus stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The server listens; `version` of our language that it offers (0: none)."""

    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Fed:
    """The server has taken `samples` of audio since the stream began: there is room for as many more."""

    samples: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last word has been told."""


@dataclass(frozen=True, slots=True)
class Text:
    """The words of a whole clip."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The server gives up, and says why. `code` is empty where the server is a moshi-server."""

    message: str
    code: str = ""


Request = Init | OggOpus | Verb
Reply = Ready | Event | Fed | Finished | Text | Stats | Failure

_CODES: dict[str, Callable[[str], EngineError]] = {
    "full": Full,
    "unavailable": Unavailable,
    "overrun": Overrun,
    "misuse": Misuse,
}


def failure_of(error: EngineError) -> Failure:
    """What the peer is told of an error."""
    code = next((code for code, kind in _CODES.items() if isinstance(error, cast(type, kind))), "unavailable")
    return Failure(str(error), code)


def error_of(failure: Failure) -> EngineError:
    """The error that a Failure stands for. A full house has no code at a moshi-server, only words; some add to them."""
    if failure.message.startswith(str(Full())):
        return Full()
    return _CODES.get(failure.code, Unavailable)(failure.message)


def encode(message: Request | Reply, *, plain: bool = False) -> bytes:
    """A message as bytes. `plain`: as a moshi-server or its client understands it."""
    fields = _plain_fields(message) if plain else _fields(message)
    return cast(bytes, msgpack.packb(fields, use_single_float=isinstance(message, Audio)))


def decode_request(data: bytes, limit: int = MESSAGE_LIMIT) -> Request:
    """What a client sent. Raises WireError."""
    return _decode(data, limit, _REQUESTS)


def decode_reply(data: bytes, limit: int = MESSAGE_LIMIT) -> Reply:
    """What a server sent. Raises WireError."""
    return _decode(data, limit, _REPLIES)


def _plain_fields(message: Request | Reply) -> dict[str, object]:
    match message:
        case Audio(pcm):
            return {"type": "Audio", "pcm": pcm.tolist()}
        case Init() | Ready():
            return {"type": type(message).__name__}
        case Failure(text):
            return {"type": "Error", "message": text}
        case OggOpus() | MarkAt() | Word() | WordEnd() | Mark() | Step():
            return _fields(message)
        case _:
            raise Misuse(f"moshi-server has no {type(message).__name__} message")


def _fields(message: Request | Reply) -> dict[str, object]:  # noqa: C901 - a table, one line a message
    match message:
        case Init(version, backlog, job):
            return {"type": "Init", "offhook": version, "backlog": backlog, "job": job}
        case Audio(pcm):
            return {"type": "Pcm", "pcm": pcm.astype("<f4", copy=False).tobytes()}
        case OggOpus(data):
            return {"type": "OggOpus", "data": data}
        case MarkAt(id) | Mark(id):
            return {"type": "Marker", "id": id}
        case Ready(version):
            return {"type": "Ready", "offhook": version}
        case Word(text, start):
            return {"type": "Word", "text": text, "start_time": start}
        case WordEnd(stop):
            return {"type": "EndWord", "stop_time": stop}
        case Step(index, pauses, backlog):
            waiting = round(backlog * SAMPLE_RATE)
            return {"type": "Step", "step_idx": index, "prs": list(pauses), "buffered_pcm": waiting}
        case Failure(text, code):
            return {"type": "Error", "message": text, "code": code}
        case Flush() | Clear() | Finish() | Finished() | Partial() | Pause() | Fed() | Text() | Stats():
            return {"type": type(message).__name__, **asdict(message)}


class _Fields:
    """A decoded map whose fields are checked as they are taken."""

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        self._kind = kind
        self._fields = fields

    def has(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        return cast(str, self._of(name, str))

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in choices:
            raise WireError(f"{self._kind}.{name} is none of {', '.join(choices)}")
        return value

    def integer(self, name: str) -> int:
        value = cast(int, self._of(name, int))
        if isinstance(value, bool) or not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
            raise WireError(f"{self._kind}.{name} is not a 64-bit integer")
        return value

    def count(self, name: str) -> int:
        value = self.integer(name)
        if value < 0:
            raise WireError(f"{self._kind}.{name} is negative")
        return value

    def counts(self, name: str, length: int) -> tuple[int, ...]:
        values = cast(list[object], self._of(name, list))
        if len(values) != length or not all(type(value) is int and 0 <= value < INTEGER_LIMIT for value in values):
            raise WireError(f"{self._kind}.{name} is not a list of {length} counts")
        return tuple(cast(list[int], values))

    def truth(self, name: str) -> bool:
        return cast(bool, self._of(name, bool))

    def fields(self, name: str) -> "_Fields":
        return _Fields(f"{self._kind}.{name}", cast(dict[str, Any], self._of(name, dict)))

    def number(self, name: str) -> float:
        return self._finite(name, self._of(name, object))

    def numbers(self, name: str) -> tuple[float, ...]:
        return tuple(self._finite(name, value) for value in cast(list[object], self._of(name, list)))

    def octets(self, name: str) -> bytes:
        """Bytes, or the list of small integers as which serde writes a Vec<u8>."""
        value = self._of(name, (bytes, list))
        try:
            return bytes(value)
        except (TypeError, ValueError):
            raise WireError(f"{self._kind}.{name} is not a list of bytes") from None

    def floats(self, name: str) -> PCM:
        """A list of numbers as audio. What is not finite is left to the engine, which makes all audio safe."""
        values = cast(list[object], self._of(name, list))
        if not all(type(value) in (float, int) for value in values):
            raise WireError(f"{self._kind}.{name} is not a list of numbers")
        with np.errstate(over="ignore"):
            return np.array(values, dtype=np.float32)

    def samples(self, name: str) -> PCM:
        """Little-endian float32 as audio."""
        data = cast(bytes, self._of(name, bytes))
        if len(data) % 4:
            raise WireError(f"{self._kind}.{name} ends inside a sample")
        return np.frombuffer(data, dtype="<f4").astype(np.float32)

    def _finite(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise WireError(f"{self._kind}.{name} is not a finite number")
        return float(value)

    def _of(self, name: str, kinds: type | tuple[type, ...]) -> Any:
        if name not in self._fields:
            raise WireError(f"{self._kind} has no {name}")
        value = self._fields[name]
        if not isinstance(value, kinds):
            raise WireError(f"{self._kind}.{name} is of the wrong type")
        return value


def _decode(data: bytes, limit: int, table: dict[str, Callable[[_Fields], _Message]]) -> _Message:
    if len(data) > limit:
        raise WireError(f"a message of {len(data)} bytes; the limit is {limit}")
    fields = _unpack(data)
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise WireError("the message has no type")
    if kind not in table:
        raise WireError("the message is of an unknown type")
    return table[kind](_Fields(kind, fields))


def _unpack(data: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"the message is not msgpack: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise WireError("the message is not a map")
    return fields


def _init(fields: _Fields) -> Init:
    if not fields.has("offhook"):
        return Init(version=0)
    job = cast(Job, fields.choice("job", get_args(Job)))
    return Init(fields.count("offhook"), fields.number("backlog"), job)


def _ready(fields: _Fields) -> Ready:
    return Ready(fields.count("offhook") if fields.has("offhook") else 0)


def _step(fields: _Fields) -> Step:
    return Step(fields.count("step_idx"), fields.numbers("prs"), fields.count("buffered_pcm") / SAMPLE_RATE)


def _stats(fields: _Fields) -> Stats:
    state = cast(Any, fields.choice("state", get_args(Stats.__annotations__["state"])))
    counts = (fields.count("capacity"), fields.count("live"), fields.count("restarts"))
    load, upkeep = _load(fields.fields("load")), _upkeep(fields.fields("upkeep"))
    return Stats(state, *counts, fields.truth("admitting"), load, upkeep)


def _load(fields: _Fields) -> Load:
    return Load(
        step_p50=fields.number("step_p50"),
        step_p99=fields.number("step_p99"),
        fill=fields.number("fill"),
        backlog=fields.number("backlog"),
        step_counts=fields.counts("step_counts", len(STEP_BOUNDS) + 1),
        step_sum=fields.number("step_sum"),
    )


def _upkeep(fields: _Fields) -> Upkeep:
    return Upkeep(*(fields.count(name) for name in ("refreshes", "stalls", "losses")))


_REQUESTS: dict[str, Callable[[_Fields], Request]] = {
    "Init": _init,
    "Audio": lambda fields: Audio(fields.floats("pcm")),
    "Pcm": lambda fields: Audio(fields.samples("pcm")),
    "OggOpus": lambda fields: OggOpus(fields.octets("data")),
    "Marker": lambda fields: MarkAt(fields.integer("id")),
    "Flush": lambda _: Flush(),
    "Clear": lambda _: Clear(),
    "Finish": lambda _: Finish(),
}

_REPLIES: dict[str, Callable[[_Fields], Reply]] = {
    "Ready": _ready,
    "Word": lambda fields: Word(fields.text("text"), fields.number("start_time")),
    "EndWord": lambda fields: WordEnd(fields.number("stop_time")),
    "Marker": lambda fields: Mark(fields.integer("id")),
    "Step": _step,
    "Partial": lambda fields: Partial(fields.text("text")),
    "Pause": lambda fields: Pause(fields.number("at")),
    "Fed": lambda fields: Fed(fields.count("samples")),
    "Finished": lambda _: Finished(),
    "Text": lambda fields: Text(fields.text("text")),
    "Stats": _stats,
    "Error": lambda fields: Failure(fields.text("message"), fields.text("code") if fields.has("code") else ""),
}
