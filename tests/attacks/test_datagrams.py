"""Datagrams from anybody, thrown at a peer's port: before, during and after the handshake (G1 to G4).

Whoever knows the port can send them, from any address. Each is thrown at a call that stands and at one that is being
set up, with either side as the one that begins DTLS: a handshake must not be disturbed, and nothing must be kept.
"""

import asyncio
import os
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any, cast

import pytest
from aioice import stun

from media import compat
from media.candidates import parse
from media.compat import guard, packets
from media.peer import Peer
from tests.media.caller import Caller, new_peer, opus_packets, tone

ALERT = bytes.fromhex("15fefd000000000000000000020228")  # fatal handshake_failure, in the clear
CLOSE_NOTIFY = bytes.fromhex("15fefd000000000000000000020100")
CLIENT_HELLO = (
    bytes.fromhex("16fefd000000000000000000360100002a000000000000002afefd")
    + bytes(32)
    + bytes.fromhex(
        "000000020001010000"  # only NULL ciphers
    )
)
JUNK_HANDSHAKE = bytes.fromhex("16fefd0000000000000000002001") + bytes(range(31))
ATTACKS = {
    "empty": b"",  # G1
    "one byte": b"\x80",
    "rtp over 1500 bytes": b"\x80" * 1_501,
    "rtp over 2 KiB": b"\x80" * 2_049,  # G2
    "rtp of 60 kB": b"\x80" * 60_000,
    "dtls alert": ALERT,  # G3, with the next three
    "dtls close_notify": CLOSE_NOTIFY,
    "dtls client hello": CLIENT_HELLO,
    "dtls junk": JUNK_HANDSHAKE,
    "stun without an end": struct.pack("!HHI", 1, 0xFFFF, 0x2112A442) + os.urandom(12),
    "stun unauthenticated": struct.pack("!HHI", 1, 0, 0x2112A442) + os.urandom(12),
    "almost stun": b"\x00" * 20,
}


def target(peer: Peer) -> tuple[str, int]:
    """Where the peer listens."""
    candidate = parse(peer._told[0])
    return candidate.address, candidate.port


def attacker() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def protocols(peer: Peer) -> list[guard.GuardedProtocol]:
    assert peer._transceiver is not None
    found = compat.ice_connection(peer._transceiver)._protocols
    assert all(isinstance(protocol, guard.GuardedProtocol) for protocol in found)
    return [protocol for protocol in found if isinstance(protocol, guard.GuardedProtocol)]


@asynccontextmanager
async def peer_and_caller() -> AsyncIterator[tuple[Peer, Caller]]:
    peer = new_peer()
    try:
        async with Caller() as caller:
            yield peer, caller
    finally:
        await peer.close()


async def repeatedly(throw: Callable[[], object]) -> None:
    """Throw, and again, until cancelled, in step with the event loop."""
    while True:
        throw()
        await asyncio.sleep(0.002)


async def is_heard(peer: Peer, caller: Caller) -> None:
    """The call is alive: audio that is sent now comes out."""
    frames = peer.frames()
    await caller.play(opus_packets(tone(0.5)), pace=0.005)
    async with asyncio.timeout(5):
        await anext(frames)


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_connected_call_goes_on(attack: str) -> None:
    async with peer_and_caller() as (peer, caller):
        await caller.call(peer)
        with closing(attacker()) as sock:
            for _ in range(20):
                sock.sendto(ATTACKS[attack], target(peer))
            await is_heard(peer, caller)
        assert caller.connection.connectionState == "connected"


@pytest.mark.parametrize("begins", ["caller", "server"])
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_handshake_is_not_disturbed(attack: str, begins: str) -> None:
    async with peer_and_caller() as (peer, caller):
        setup = "actpass" if begins == "caller" else "passive"
        answer = await peer.answer((await caller.offer()).replace("a=setup:actpass", f"a=setup:{setup}"))
        assert f"a=setup:{'passive' if begins == 'caller' else 'active'}" in answer
        with closing(attacker()) as sock:
            throwing = asyncio.create_task(repeatedly(lambda: sock.sendto(ATTACKS[attack], target(peer))))
            try:
                async with asyncio.timeout(10):
                    await caller.accept(answer)
                    await peer.connected()
                    await caller.connected()
            finally:
                throwing.cancel()
                await asyncio.gather(throwing, return_exceptions=True)
        await is_heard(peer, caller)


async def test_what_a_flood_brings_before_the_call_is_connected_is_not_kept() -> None:
    async with peer_and_caller() as (peer, caller):
        await peer.answer(await caller.offer())
        protocol = protocols(peer)[0]
        with closing(attacker()) as sock:
            sock.setblocking(False)
            for number in range(4, 104):
                sock.sendto(bytes([number]) + bytes(1_200), target(peer))
            # The answer to a question behind the flood tells that the flood has been worked off.
            sock.sendto(ATTACKS["stun unauthenticated"], target(peer))
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_recv(sock, 2_048)
        assert protocol.refused == 100
        assert protocol.receiver._queue.qsize() == 0


async def test_a_caller_that_floods_fills_the_queue_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_UNREAD", 5)
    async with peer_and_caller() as (peer, caller):
        await peer.answer(await caller.offer())
        protocol = protocols(peer)[0]
        protocol._proven.add(("192.0.2.1", 1))
        for _ in range(10):
            protocol.datagram_received(b"\x16data", ("192.0.2.1", 1))
        assert protocol.receiver._queue.qsize() == 5
        assert protocol.refused == 5


async def test_of_media_before_there_are_keys_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "MOST_EARLY", 5)
    async with peer_and_caller() as (peer, caller):
        await peer.answer(await caller.offer())
        protocol = protocols(peer)[0]
        protocol._proven.add(("192.0.2.1", 1))
        for number in range(10):
            protocol.datagram_received(b"\x80%d" % number, ("192.0.2.1", 1))
        taker = cast(Any, protocol.receiver.data_received).__self__
        assert list(taker._early) == [b"\x80%d" % number for number in range(5, 10)]
        assert protocol.receiver._queue.qsize() == 0


async def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_PROVEN", 1)
    async with peer_and_caller() as (peer, caller):
        await caller.call(peer)
        assert max(len(protocol._proven) for protocol in protocols(peer)) == 1


# A caller knows the password, and may sign as many checks as it likes


def signed_check(offer: str, answer: str, *, priority: int | None = 1) -> bytes:
    """A connectivity check that ICE takes for the caller's."""
    ours, theirs = (re.findall(r"a=ice-(?:ufrag|pwd):(\S+)", sdp)[:2] for sdp in (answer, offer))
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ours[0]}:{theirs[0]}"
    message.attributes["ICE-CONTROLLING"] = 2**64 - 1
    if priority is not None:
        message.attributes["PRIORITY"] = priority
    message.add_message_integrity(ours[1].encode())
    return bytes(message)


@pytest.mark.parametrize("connected", [True, False], ids=["in a call", "before it"])
@pytest.mark.parametrize("priority", [1, None], ids=["whole", "without a priority"])
async def test_checks_from_many_addresses_are_not_all_kept(connected: bool, priority: int | None) -> None:
    async with peer_and_caller() as (peer, caller):
        offer = await caller.offer()
        answer = await peer.answer(offer)
        if connected:
            await caller.accept(answer)
            await peer.connected()
            await caller.connected()
        check = signed_check(offer, answer, priority=priority)
        protocol = protocols(peer)[0]
        for port in range(1, 3_000):
            protocol.datagram_received(check, ("192.0.2.77", port))
        ice = protocol.receiver
        assert len(ice._remote_candidates) + len(ice._early_checks) <= guard.MOST_PROVEN
        if connected:  # before a call, who fills its own list of addresses may find no room for the true one
            await is_heard(peer, caller)
