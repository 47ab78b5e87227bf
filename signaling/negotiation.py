"""The signal socket's conversation: trickle-ICE signaling as a pure table.

    state \\ message   offer          candidate       restart        resume        bye
    new               Begin   → up    -               -              Resume → back  Goodbye → over
    back              Rejoin  → up    -               -              -              Goodbye → over
    up                Rejoin  → up    AddCandidate    Rejoin  → up   -              Goodbye → over

An empty place is out of order. `back` is a socket that has shown a resume token and has not offered yet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signaling.dialects.native import loads
from signaling.errors import BadMessage, OutOfOrder

MESSAGE_LIMIT = 128 * 1024  # an SDP of 64 KiB, as JSON
State = Literal["new", "back", "up", "over"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a session and answer this offer."""

    sdp: str


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Answer this offer on the same session. One that holds or resumes the present connection changes only that; any
    other takes a fresh peer, which is told what follows the event numbered `seq` where that is said."""

    sdp: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class AddCandidate:
    """One more way to reach the caller; None: there are no more."""

    candidate: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with the session that this token belongs to, after the event numbered `seq`."""

    session: str
    token: str
    seq: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """End the call now."""


Action = Begin | Rejoin | AddCandidate | Resume | Goodbye

TABLE: dict[tuple[State, str], tuple[type[Action], State]] = {
    ("new", "offer"): (Begin, "up"),
    ("new", "resume"): (Resume, "back"),
    ("new", "bye"): (Goodbye, "over"),
    ("back", "offer"): (Rejoin, "up"),
    ("back", "bye"): (Goodbye, "over"),
    ("up", "offer"): (Rejoin, "up"),
    ("up", "candidate"): (AddCandidate, "up"),
    ("up", "restart"): (Rejoin, "up"),
    ("up", "bye"): (Goodbye, "over"),
}
TYPES = tuple(sorted({kind for _, kind in TABLE}))


class Negotiation:
    """One signal socket's state. `receive` says what a message asks for, or refuses it and stays as it was."""

    def __init__(self) -> None:
        self.state: State = "new"

    def receive(self, message: str | bytes) -> Action:
        """Raises BadMessage, TooLarge or OutOfOrder."""
        fields = loads(message, MESSAGE_LIMIT)
        kind = fields.get("type")
        if kind not in TYPES:
            raise BadMessage(f"The type must be one of {', '.join(TYPES)}.")
        if (self.state, kind) not in TABLE:
            allowed = ", ".join(known for state, known in TABLE if state == self.state)
            raise OutOfOrder(f"{kind} does not belong here; {allowed or 'nothing'} does.")
        make, after = TABLE[self.state, kind]
        action = READ[make](fields)
        self.state = after
        return action


def _sdp(fields: Mapping[str, Any]) -> str:
    sdp = fields.get("sdp")
    if not isinstance(sdp, str):
        raise BadMessage("The sdp must be a text.")
    return sdp


def _candidate(fields: Mapping[str, Any]) -> AddCandidate:
    candidate = fields.get("candidate")
    if candidate is not None and not isinstance(candidate, dict):
        raise BadMessage("The candidate must be an object or null.")
    return AddCandidate(candidate)


def _resume(fields: Mapping[str, Any]) -> Resume:
    session, token, seq = fields.get("session"), fields.get("token"), fields.get("seq", 0)
    if not isinstance(session, str) or not isinstance(token, str):
        raise BadMessage("resume needs the session and its token.")
    return Resume(session, token, _seq(seq))


def _seq(seq: object) -> int:
    if isinstance(seq, bool) or not isinstance(seq, int) or seq < 0:
        raise BadMessage("The seq must be the number of the last event seen, or 0.")
    return seq


def _rejoin(fields: Mapping[str, Any]) -> Rejoin:
    return Rejoin(_sdp(fields), _seq(fields["seq"]) if "seq" in fields else None)


READ: dict[type[Action], Callable[[Mapping[str, Any]], Action]] = {
    Begin: lambda fields: Begin(_sdp(fields)),
    Rejoin: _rejoin,
    AddCandidate: _candidate,
    Resume: _resume,
    Goodbye: lambda fields: Goodbye(),
}
