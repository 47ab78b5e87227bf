"""The relay with real sockets, and calls that have no other way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from media import relay
from media.caller import Caller as SpeakingCaller
from media.caller import Speech
from media.candidates import parse
from media.errors import NoPort
from media.frames import Frame
from media.ice import IceServer, Sockets
from media.impair import PRESETS, Impairment
from media.peer import Peer
from media.relay import Network, Relay
from tests.media.caller import SETTINGS, Caller, new_peer, opus_packets, rtp, tone

HOST = "127.0.0.1"
PATIENCE = 40.0  # seconds for a connection where packets are lost: DTLS tries again after 1, 3, 7, 15 and 31


@contextmanager
def sockets(count: int) -> Iterator[list[socket.socket]]:
    """UDP sockets on free ports."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for sock in made:
            sock.setblocking(False)
            sock.bind((HOST, 0))
        yield made


@asynccontextmanager
async def relayed(target: socket.socket, impairment: Impairment) -> AsyncIterator[Relay]:
    async with opened(Network(impairment), target) as one:
        yield one


@asynccontextmanager
async def opened(network: Network, target: socket.socket) -> AsyncIterator[Relay]:
    one = network.relay((HOST, 0), target.getsockname())
    try:
        yield one
    finally:
        one.close()
        await asyncio.wait_for(one.closed(), 2)


async def heard(sock: socket.socket, within: float = 2.0) -> tuple[bytes, tuple[str, int]]:
    """The next datagram and where it came from."""
    async with asyncio.timeout(within):
        data, sender = await asyncio.get_running_loop().sock_recvfrom(sock, 2_048)
    return data, sender


async def test_both_ways_and_callers_apart() -> None:
    with sockets(3) as (target, ann, ben):
        async with relayed(target, PRESETS["clean"]) as one:
            for caller in (ann, ben):
                caller.sendto(b"hello", one.address)
                _, seen_as = await heard(target)
                target.sendto(b"to %d" % caller.getsockname()[1], seen_as)
            for caller in (ann, ben):
                assert await heard(caller) == (b"to %d" % caller.getsockname()[1], one.address)
            assert (one.carried.forwarded, one.carried.lost) == (4, 0)


async def fates(network: Network, count: int = 100) -> list[bytes]:
    """Which of so many datagrams arrive."""
    with sockets(2) as (target, caller):
        async with opened(network, target) as one:
            for number in range(count):
                caller.sendto(b"%d" % number, one.address)
            came: list[bytes] = []
            while one.carried.lost + len(came) < count:
                came.append((await heard(target))[0])
    return came


async def test_the_same_packets_are_lost_from_the_same_seed() -> None:
    first = await fates(Network(PRESETS["loss-20"], seed=1))
    assert 60 < len(first) < 95
    assert first == await fates(Network(PRESETS["loss-20"], seed=1))
    assert first != await fates(Network(PRESETS["loss-20"], seed=2))


async def test_each_call_has_its_own_chances() -> None:
    network = Network(PRESETS["loss-20"])
    assert await fates(network) != await fates(network)


async def test_what_is_delayed_comes_later_and_in_order() -> None:
    with sockets(2) as (target, caller):
        async with relayed(target, Impairment(delay=0.05, jitter=0.05)) as one:
            began = asyncio.get_running_loop().time()
            for number in range(20):
                caller.sendto(b"%d" % number, one.address)
            came = [(await heard(target))[0] for _ in range(20)]
            assert asyncio.get_running_loop().time() - began >= 0.05
            assert came == [b"%d" % number for number in range(20)]


async def test_only_so_much_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_WAITING", 5)
    with sockets(2) as (target, caller):
        async with relayed(target, Impairment(delay=0.1)) as one:
            for _ in range(12):
                caller.sendto(b"x", one.address)
            for _ in range(5):
                await heard(target)
            assert (one.carried.forwarded, one.carried.refused) == (5, 7)


async def test_only_so_many_callers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_CALLERS", 2)
    with sockets(4) as (target, *callers):
        async with relayed(target, PRESETS["clean"]) as one:
            for caller in callers:
                caller.sendto(b"x", one.address)
            for _ in range(2):
                await heard(target)
            await asyncio.sleep(0)
            assert one.carried.refused == 1


async def test_a_target_that_is_gone_costs_nothing_but_the_packet() -> None:
    with sockets(2) as (target, caller):
        async with relayed(target, PRESETS["clean"]) as one:
            address = target.getsockname()
            target.close()
            for _ in range(3):
                caller.sendto(b"x", one.address)
                await asyncio.sleep(0.01)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
                back.setblocking(False)
                back.bind(address)
                caller.sendto(b"y", one.address)
                assert (await heard(back))[0] == b"y"


async def test_a_target_that_cannot_be_reached_costs_the_packet_and_no_socket() -> None:
    process = psutil.Process()
    with sockets(1) as (caller,):
        one = Network(PRESETS["clean"]).relay((HOST, 0), ("255.255.255.255", 9))  # not without SO_BROADCAST
        try:
            before = process.num_fds()
            for number in range(1, 4):
                caller.sendto(b"x", one.address)
                one._hear(one._outside, one._from_caller)
                assert (one.carried.refused, process.num_fds()) == (number, before)
        finally:
            one.close()


async def test_a_goodbye_arrives_after_the_close() -> None:
    with sockets(2) as (target, caller):
        one = Network(Impairment(delay=0.05)).relay((HOST, 0), target.getsockname())
        caller.sendto(b"hello", one.address)
        _, seen_as = await heard(target)
        target.sendto(b"goodbye", seen_as)
        one.close()
        one.close()
        assert (await heard(caller))[0] == b"goodbye"
        await asyncio.wait_for(one.closed(), 1)


async def test_an_address_that_is_taken_is_refused() -> None:
    with sockets(2) as (target, taken), pytest.raises(OSError, match="in use"):
        Network(PRESETS["clean"]).relay(taken.getsockname(), target.getsockname())


# Calls


def behind(impairment: Impairment, **sockets: Any) -> Peer:
    """A peer that is reached through such a network only. DTLS alone may need 15 s where every packet may be lost."""
    given = replace(SETTINGS.sockets, network=Network(impairment, seed=3), **sockets)
    return new_peer(replace(SETTINGS, sockets=given, connect_timeout=PATIENCE))


@pytest.mark.parametrize("preset", ["wifi", "lte", "loss-10", "bursts", "jitter"])
async def test_a_call_through_a_bad_network(preset: str) -> None:
    peer, speech = behind(PRESETS[preset]), Speech(np.zeros(48_000, dtype=np.float32))
    caller = SpeakingCaller(speech)
    async with asyncio.timeout(PATIENCE):
        await caller.accept(await peer.answer(await caller.offer()))
        await peer.connected()
        await caller.opened.wait()
        peer.send("heard")
        assert await anext(caller.messages()) == "heard"
        await speech.spoken.wait()
    await peer.finish()  # what is still under way comes
    frames = [item async for item in peer.frames() if isinstance(item, Frame)]
    assert frames[-1].start + 0.08 > 0.8
    await caller.close()
    await peer.close()


async def test_there_is_no_way_around() -> None:
    """What both sides use is the relay: as many datagrams as the call has went through it."""
    peer = behind(PRESETS["clean"])
    async with Caller() as caller:
        await caller.call(peer)
        assert peer.carried is not None
        before = peer.carried.forwarded
        await caller.play(opus_packets(tone(1.0)), pace=0.001)
        await peer.finish()
        assert peer.stats.received == 50
        assert peer.carried.forwarded - before >= 50
        told = {(parse(text).address, parse(text).port) for text in peer._told}
        ice = caller.connection.getTransceivers()[0].sender.transport.transport._connection
        assert {pair.remote_addr for pair in ice._nominated.values()} <= told
    await peer.close()


async def test_candidates_that_come_later_are_no_way_around_either() -> None:
    peer = behind(PRESETS["clean"])
    async with Caller() as caller:
        offer = await caller.offer()
        await caller.accept(await peer.answer(offer))
        for line in offer.splitlines():
            if line.startswith("a=candidate"):
                await peer.add_candidate({"candidate": line.removeprefix("a="), "sdpMid": "0"})
        await peer.add_candidate(None)
        await asyncio.wait_for(peer.connected(), 5)
        assert peer._transceiver is not None
        ice = peer._transceiver.receiver.transport.transport._connection
        assert {candidate.type for candidate in ice._remote_candidates} == {"prflx"}
    await peer.close()


async def test_servers_are_not_asked() -> None:
    settings = replace(
        SETTINGS, sockets=Sockets(network=Network(PRESETS["clean"])), servers=(IceServer(("stun:127.0.0.1:9",)),)
    )
    peer = new_peer(settings)
    async with Caller() as caller:
        answer = await peer.answer(await caller.offer())
        assert "a=end-of-candidates" in answer
        assert "srflx" not in answer
    await peer.close()


async def test_the_relays_listen_on_the_ports_that_are_allowed() -> None:
    one_port = {"ports": (41_200, 41_200), "addresses": (HOST,), "loopback": True}
    peer = behind(PRESETS["clean"], **one_port)
    async with Caller() as caller:
        offer = await caller.offer()
        await peer.answer(offer)
        assert [parse(text).port for text in peer._told] == [41_200]
        with pytest.raises(NoPort):
            await behind(PRESETS["clean"], **one_port).answer(offer)
        await peer.close()
        again = behind(PRESETS["clean"], **one_port)  # a port that was given back is used again
        await again.answer(offer)
        await again.close()


async def test_the_end_of_a_call_is_carried_and_nothing_stays() -> None:
    process = psutil.Process()
    async with Caller() as caller:
        before = process.num_fds()
        peer = behind(Impairment(delay=0.05))
        closed = asyncio.Event()
        caller.connection.on(
            "connectionstatechange",
            lambda: closed.set() if caller.connection.connectionState == "closed" else None,
        )
        await caller.call(peer)
        await caller.send(rtp(0, 0, opus_packets(tone(0.02))[0]))
        await peer.close()
        await asyncio.wait_for(closed.wait(), 2)
    assert not peer.abandoned
    assert process.num_fds() <= before
