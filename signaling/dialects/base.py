"""A dialect is a wire language: messages to commands, events to messages. Pure, no I/O."""

from collections.abc import Sequence
from typing import Protocol

from signaling.commands import Command
from signaling.events import Entry

Message = str | bytes


class Dialect(Protocol):
    """One wire language. A new one is one file and one route."""

    def ready(self, session: str) -> Sequence[Message]:
        """What greets the caller once events can flow."""

    def decode(self, message: Message) -> Sequence[Command]:
        """What a message asks for. Raises BadMessage or TooLarge, whose text goes back to the sender."""

    def encode(self, entry: Entry) -> Sequence[Message]:
        """How an event is told; nothing for an event that this language has no word for."""

    def error(self, code: str, text: str) -> Sequence[Message]:
        """How a failure is told."""
