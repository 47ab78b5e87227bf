"""A peer as a session sees it: what its end means."""

from collections.abc import Mapping
from typing import Any

import pytest

from media.channel import Channel
from media.frames import FrameQueue
from media.peer import Ending, Peer
from signaling.transports.base import Gone, HungUp, Item, Lost
from signaling.transports.peer import PeerTransport


class Over(Peer):
    """One whose call has ended."""

    def __init__(self, ending: Ending) -> None:
        self._how = ending

    async def connected(self) -> None:
        pass

    def frames(self) -> FrameQueue:
        frames = FrameQueue(1, 0.08)
        frames.end()
        return frames

    def messages(self) -> Channel:
        messages = Channel("events", lambda: 0)
        messages.end()
        return messages

    async def lost(self) -> Ending:
        return self._how

    async def finish(self) -> None:
        pass


async def announce(message: Mapping[str, Any]) -> None:
    """To the socket beside the call."""


async def all_of(transport: PeerTransport) -> list[Item]:
    return [item async for item in transport.items()]


@pytest.mark.parametrize(("ending", "raised"), [("lost", Lost), ("closed", Lost), ("hung_up", HungUp)])
async def test_who_has_a_socket_beside_the_call_may_come_back_by_it(ending: Ending, raised: type[Lost]) -> None:
    with pytest.raises(Lost) as lost:
        await all_of(PeerTransport(Over(ending), announce))
    assert type(lost.value) is raised


async def test_who_was_called_by_a_post_has_no_way_back() -> None:
    with pytest.raises(Gone):
        await all_of(PeerTransport(Over("lost")))
    assert await all_of(PeerTransport(Over("hung_up"))) == []  # that is its goodbye
