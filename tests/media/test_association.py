"""The contract with aiortc's SCTP: how a data channel's association survives a bad network."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcsctptransport import CookieAckChunk, InitChunk, RTCSctpTransport, parse_packet

from media import compat


class Association:
    """A mended association that sends nowhere."""

    def __init__(self, sctp: RTCSctpTransport) -> None:
        self.sctp = cast(Any, sctp)
        self.sent: list[bytes] = []
        self.sctp._remote_port = 5_000
        self.sctp.transport._send_data = self._send
        compat.mend_association(sctp)

    async def _send(self, data: bytes) -> None:
        self.sent.append(data)

    @property
    def tags(self) -> list[int]:
        """The verification tags of what was sent."""
        return [parse_packet(data)[2] for data in self.sent]


@pytest.fixture
async def association() -> AsyncIterator[Association]:
    connection = RTCPeerConnection()
    connection.createDataChannel("events")
    assert connection.sctp is not None
    yield Association(connection.sctp)
    await connection.close()


def init(tag: int = 7) -> InitChunk:
    chunk = InitChunk()
    chunk.initiate_tag, chunk.advertised_rwnd, chunk.initial_tsn = tag, 131_072, 1_000
    chunk.outbound_streams, chunk.inbound_streams = 100, 100
    return chunk


async def test_an_init_has_no_tag_also_when_the_other_side_s_is_known(association: Association) -> None:
    association.sctp._remote_verification_tag = 7
    await association.sctp._send_chunk(init())
    await association.sctp._send_chunk(CookieAckChunk())
    assert association.tags == [0, 7]


async def test_an_init_that_comes_late_resets_nothing(association: Association) -> None:
    await association.sctp._receive_chunk(init())
    assert association.sctp._last_received_tsn == 999
    association.sctp._association_state = RTCSctpTransport.State.ESTABLISHED
    association.sctp._last_received_tsn = 1_005
    await association.sctp._receive_chunk(init())
    assert association.sctp._last_received_tsn == 1_005
    association.sctp._association_state = RTCSctpTransport.State.CLOSED


async def test_what_is_lost_is_sent_again_soon(association: Association) -> None:
    assert association.sctp._rto == 0.5
    association.sctp._update_rto(0.02)
    assert association.sctp._rto == 0.4
    association.sctp._update_rto(3.0)
    assert association.sctp._rto > 1.0


async def test_what_begins_it_is_sent_again_ever_less_often(association: Association) -> None:
    association.sctp._t1_start(init())
    delays = []
    for _ in range(5):
        association.sctp._t1_handle.cancel()
        association.sctp._t1_expired()
        delays.append(association.sctp._rto)
    association.sctp._t1_cancel()
    assert delays == [1.0, 2.0, 3.0, 3.0, 3.0]
