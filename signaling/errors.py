"""Every refusal and failure, and how each is told on the wire.

    SignalingError
    ├── BadMessage        not JSON, an unknown type, a missing field                        (the caller's)
    │   └── Unreadable    the same on a socket whose language is binary                     (the caller's)
    ├── BadAudio          bytes that are not the audio they are said to be                  (the caller's)
    ├── OutOfOrder        a message that this state of the negotiation does not know        (the caller's)
    ├── BadFile           a file that holds no audio that is served here; `code` names why  (the caller's)
    ├── TooLarge          a message or body over its limit                                  (the caller's)
    ├── NoLength          a body that does not tell its length                              (the caller's)
    ├── TooSlow           a body that comes more slowly than one waits for it               (the caller's)
    ├── Unauthorized      no key or a wrong one                                             (the caller's)
    ├── ForbiddenOrigin   a page of an origin that is not allowed                           (the caller's)
    ├── UnknownSession    no such session, or not with that token                           (the caller's)
    ├── TooMany           more offers or sessions than one address may have                 (the caller's)
    │   └── AllInUse      a key or token has all the sessions that it may have at once      (the caller's)
    ├── NoRoom            no room on the disk for a file                                    (ours)
    └── Draining          the server is about to end                                        (nobody's)

The errors of the other two packages (engine/errors.py, media/errors.py) stand in the same table.
"""

from dataclasses import dataclass

from engine.errors import EngineError, Full, Misuse, Overrun, Unavailable
from media.errors import (
    BadCandidate,
    BadMedia,
    BadOffer,
    MediaError,
    NeverConnected,
    NoPort,
    NoProcess,
    NotSdp,
    OfferTooLarge,
    SlowReader,
)

BUSY_RETRY_AFTER = 5  # seconds: a call lasts minutes, so asking more often only costs


class SignalingError(Exception):
    """The base of what this package refuses on purpose. `retry_after`: seconds, where waiting helps."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadMessage(SignalingError):
    """A message that cannot be read; the text names the fault."""


class Unreadable(BadMessage):
    """A message that cannot be read on a socket whose language is binary, where everything after it is lost too."""


class BadAudio(SignalingError):
    """Bytes that are not the audio they are said to be; the text says what to send."""


class BadFile(SignalingError):
    """A file that holds no audio that is served here, or more of it. `code` and text as in media.errors.BadMedia."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class OutOfOrder(SignalingError):
    """A message that does not belong here; the text says what does."""


class TooLarge(SignalingError):
    """A message or body over its limit; the text names the limit."""


class NoLength(SignalingError):
    """A request that needs a body and tells of none."""


class TooSlow(SignalingError):
    """A body that comes more slowly than one waits for it; the text names the pace."""


class NoRoom(SignalingError):
    """A file cannot be kept while it is transcribed: the disk is full, or no more files can be opened."""


class Unauthorized(SignalingError):
    """No key, or a wrong one."""


class ForbiddenOrigin(SignalingError):
    """A page from an origin that is not allowed."""


class UnknownSession(SignalingError):
    """There is no such session, it has ended, or the token is not its own."""


class TooMany(SignalingError):
    """One address asks for more than its share."""


class AllInUse(TooMany):
    """A key or a token has all the sessions that it may have at once: one of them has to end first."""


class Draining(SignalingError):
    """The server is about to end and takes no new calls."""


@dataclass(frozen=True, slots=True)
class WireError:
    """One failure as the wire tells it."""

    code: str
    status: int  # HTTP
    close: int  # WebSocket (RFC 6455, section 7.4)
    title: str


INTERNAL = WireError("internal", 500, 1011, "Something went wrong here")
BAD_AUDIO = WireError("bad_audio", 422, 1007, "The audio cannot be decoded")

# The most specific class of an exception that stands here decides.
WIRE: dict[type[BaseException], WireError] = {
    BadMessage: WireError("bad_message", 400, 1008, "The message cannot be read"),
    Unreadable: WireError("unreadable", 400, 1003, "The message cannot be read"),
    BadAudio: BAD_AUDIO,
    OutOfOrder: WireError("out_of_order", 409, 1008, "The message does not belong here"),
    TooLarge: WireError("too_large", 413, 1009, "Too large"),
    NoLength: WireError("length_required", 411, 1008, "The body's length is needed"),
    TooSlow: WireError("request_timeout", 408, 1008, "The body comes too slowly"),
    NoRoom: WireError("no_room", 503, 1013, "There is no room for the file"),
    BadFile: BAD_AUDIO,
    Unauthorized: WireError("unauthorized", 401, 1008, "A key is needed"),
    ForbiddenOrigin: WireError("forbidden_origin", 403, 1008, "This page's origin is not allowed"),
    UnknownSession: WireError("unknown_session", 404, 1008, "There is no such session"),
    TooMany: WireError("too_many_requests", 429, 1013, "Too many requests"),
    SlowReader: WireError("slow_reader", 503, 1013, "Events are not being read"),
    Draining: WireError("draining", 503, 1013, "The server is about to end"),
    Full: WireError("busy", 503, 1013, "All lines are busy"),
    Unavailable: WireError("engine_down", 503, 1013, "The recognizer is not running"),
    Overrun: INTERNAL,
    Misuse: INTERNAL,
    EngineError: INTERNAL,
    NotSdp: WireError("bad_offer", 400, 1008, "The offer is not an SDP"),
    OfferTooLarge: WireError("too_large", 413, 1009, "Too large"),
    BadOffer: WireError("bad_offer", 422, 1008, "The offer cannot be answered"),
    BadCandidate: WireError("bad_candidate", 400, 1008, "The candidate cannot be read"),
    BadMedia: BAD_AUDIO,
    NeverConnected: WireError("never_connected", 504, 1008, "The call never connected"),
    NoPort: WireError("busy", 503, 1013, "All lines are busy"),
    NoProcess: WireError("busy", 503, 1013, "All lines are busy"),
    MediaError: INTERNAL,
}

# How a file is refused whose code (media.errors.BadMedia) says more than that it cannot be decoded.
FILES: dict[str, WireError] = {
    "empty": WireError("empty", 400, 1007, "The file is empty"),
    "unknown_format": WireError("unknown_format", 415, 1007, "The file is in no format that is served"),
    "unsupported": WireError("unsupported", 415, 1007, "The file's audio is in no form that is served"),
    "no_audio": WireError("no_audio", 422, 1007, "There is no audio in the file"),
    "damaged": WireError("damaged", 422, 1007, "The file is damaged"),
    "too_costly": WireError("too_costly", 422, 1007, "The file takes too much to decode"),
    "too_long": WireError("too_long", 413, 1009, "The audio is too long"),
}

# How the end of a session is told to a caller who did not ask for it; other reasons close with 1000.
ENDINGS: dict[str, WireError] = {
    "engine_down": WIRE[Unavailable],
    "never_connected": WIRE[NeverConnected],
    "slow_reader": WIRE[SlowReader],
    "drain": WIRE[Draining],
    "bad_offer": WIRE[BadOffer],
    "bad_message": WIRE[BadMessage],
    "unreadable": WIRE[Unreadable],
    "too_large": WIRE[TooLarge],
    "out_of_order": WIRE[OutOfOrder],
    "bad_audio": WIRE[BadMedia],
    "internal": INTERNAL,
}
RETRY_AFTER: dict[type[BaseException], int] = {
    Full: BUSY_RETRY_AFTER,
    NoPort: BUSY_RETRY_AFTER,
    NoProcess: BUSY_RETRY_AFTER,
    Unavailable: BUSY_RETRY_AFTER,
}


def wire_error(error: BaseException) -> WireError:
    """How `error` is told; anything that is not in the table is ours, and told without its text."""
    if isinstance(error, BadFile) and error.code in FILES:
        return FILES[error.code]
    return next((WIRE[kind] for kind in type(error).__mro__ if kind in WIRE), INTERNAL)


def sentence(error: BaseException) -> str:
    """What the caller reads: the error's own words where it is known, never those of a surprise."""
    known = wire_error(error)
    if isinstance(error, (Full, NoPort, NoProcess)):
        return "All lines are busy; please try again in a few seconds."
    return known.title + "." if known.code == "internal" else str(error) or known.title + "."


def no_free_channels(code: str, text: str) -> str:
    """A failure's text for clients that look for moshi-server's words, which then try again: they come first wherever
    another place, or the same one later, may be free."""
    if code == WIRE[Full].code:
        return str(Full())
    return f"{Full()}: {text}" if code == WIRE[TooMany].code else text


def retry_after(error: BaseException) -> int | None:
    """Seconds after which trying again makes sense, or None where it does not."""
    if isinstance(error, SignalingError):
        return error.retry_after
    return RETRY_AFTER.get(type(error))
