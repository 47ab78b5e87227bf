"""What every door has in common: audio, messages and media events come in, messages go out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping

from media.events import MediaEvent
from signaling.commands import Audio, Finish
from signaling.dialects.base import Message

Item = Audio | MediaEvent | Message | Finish


class Lost(Exception):
    """The caller vanished without a goodbye; it may come back."""


class HungUp(Lost):
    """The caller closed its media in good order, and said no goodbye where goodbyes are said. A browser that begins a
    new connection may do that, with the new offer on its way."""


class Gone(Lost):
    """The caller vanished, from where nobody can come back."""


class Transport(ABC):
    """One way to a caller. A session may have several, one after another."""

    @property
    @abstractmethod
    def heard(self) -> float | None:
        """When the last packet came, by the event loop's clock; silence that was made here does not count. None where
        audio comes in messages: whoever reads them knows which are audio."""

    @property
    def figures(self) -> Mapping[str, float]:
        """What happened on the way so far, for the log and the metrics. Counts, which only grow; but
        `repaired` may shrink, when a packet that was taken for lost comes after all."""
        return {}

    @abstractmethod
    def items(self) -> AsyncGenerator[Item, None]:
        """What the caller sends, in order. Ends with Finish after the last audio once `finish` was called, quietly when
        the caller has said goodbye. Raises Lost when the caller vanished or the transport was closed here, and
        NeverConnected when it never came."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Hand one message over. Raises SlowReader when too much waits unread."""

    @abstractmethod
    async def finish(self) -> None:
        """The caller says that no more audio comes: let what is on its way arrive, then end `items` with Finish."""

    @abstractmethod
    async def announce(self, seconds: float) -> None:
        """Tell the caller that the call ends in so many seconds, where the door has words for it."""

    @abstractmethod
    async def close(self, reason: str = "") -> None:
        """Give the way up; bounded, and harmless when repeated. `reason`: why the session ended, if it did."""
