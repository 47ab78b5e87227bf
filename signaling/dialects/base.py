"""A dialect is a wire language: messages to commands, events to messages. Pure, no I/O."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from signaling.commands import Command, Message
from signaling.events import Entry

__all__ = ["Dialect", "Message"]


class Dialect(Protocol):
    """One wire language. A new one is one file and one route. One that counts or remembers is made for each connection.

    `steps`: whether it tells of every Step of the engine. `strict`: whether a message that cannot be read ends the
    session, as it does where a client could not tell what became of its audio.
    """

    @property
    def steps(self) -> bool: ...

    @property
    def strict(self) -> bool: ...

    def ready(self, session: str) -> Sequence[Message]:
        """What greets the caller once events can flow."""

    def decode(self, message: Message) -> Iterable[Command]:
        """What a message asks for; each command is obeyed before the next one is asked for, since a few bytes may hold
        hours of audio. Raises a SignalingError or MediaError, then or later, whose text goes back to the sender."""

    def encode(self, entry: Entry) -> Sequence[Message]:
        """How an event is told; nothing for an event that this language has no word for."""

    def error(self, code: str, text: str) -> Sequence[Message]:
        """How a failure is told."""
