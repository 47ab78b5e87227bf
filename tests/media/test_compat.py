"""The contract with aiortc's and aioice's private parts: each hook still bites, and what it replaces is still there.

When one of these fails after an update, read media/compat/ and the new source before anything else.
"""

import asyncio
import os
import resource
import socket
import struct
import threading
from dataclasses import replace
from importlib.metadata import version
from typing import Any, cast

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpTransport
from aiortc.rtp import RtcpPacket, RtcpRrPacket

from media import compat
from media.codecs import Format
from media.compat import gathering, guard, packets
from media.compat.demux import is_rtp
from media.errors import NoPort
from media.ice import IceServer, Sockets
from media.peer import Peer, PeerSettings
from media.red import Block
from media.rtcp import SenderReport
from tests.media.caller import OPUS, SETTINGS, Caller, new_peer, opus_packets, rtp, tone
from tests.media.offers import FFMPEG
from tests.media.redundancy import wrap

RED = 63  # the payload type that Chrome offers


def test_the_versions_are_those_that_were_read() -> None:
    assert (version("aiortc"), version("aioice")) == ("1.16.0", "0.13.0")


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (aioice.ice.Connection, "gather_candidates _remote_candidates_expected _pair_remote_candidate sort_check_list"),
        (RTCDtlsTransport, "_handle_rtcp_data _register_rtp_receiver _setup_srtp"),
        (RTCRtpReceiver, "receive _run_rtcp"),
        (
            RTCSctpTransport,
            "_data_channel_receive _receive_data_chunk _receive_sack_chunk _get_inbound_stream _mark_received "
            "_handle_data _receive_chunk",
        ),
        (aioice.ice.StunProtocol, "request send_stun datagram_received"),
        (aioice.ice, "server_reflexive_candidate relayed_candidate get_host_addresses StunProtocol"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_hooked_exists(owner: Any, names: str) -> None:
    for name in names.split():
        assert callable(getattr(owner, name)) or isinstance(getattr(owner, name), property), name


async def test_what_is_read_exists() -> None:
    connection, transceiver = compat.open_connection([])
    ice, receiver = compat.ice_connection(transceiver), transceiver.receiver
    for name in ("_protocols", "_local_candidates", "_local_candidates_start", "_local_candidates_end"):
        assert isinstance(getattr(ice, name), list | bool), name
    for name in ("_remote_candidates", "_closing", "stun_server", "turn_server", "turn_username", "turn_password"):
        assert hasattr(ice, name), name
    assert isinstance(ice._nominated, dict)
    assert 0 < aioice.stun.RETRY_RTO <= 0.5  # what takes longer may have been sent again
    for name in ("turn_ssl", "turn_transport"):
        assert hasattr(ice, name), name
    for name in ("__remote_streams", "__started", "__rtcp_task"):
        assert hasattr(receiver, f"_RTCRtpReceiver{name}"), name
    assert isinstance(receiver.transport._rtp_router.ssrc_table, dict)
    assert hasattr(transceiver, "_codecs")
    await connection.close()


async def test_no_server_is_asked_that_was_not_named() -> None:
    connection, transceiver = compat.open_connection([])
    ice = compat.ice_connection(transceiver)
    assert ice.stun_server is None
    assert ice.turn_server is None
    await connection.close()


async def test_audio_and_data_share_one_transport_and_no_thread_decodes() -> None:
    threads = threading.active_count()
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        connection = peer._connection
        assert isinstance(connection, RTCPeerConnection)
        assert connection.sctp is not None
        assert connection.sctp.transport is connection.getTransceivers()[0].receiver.transport
        await caller.play(opus_packets(tone(0.2)))
        await anext(peer.frames())
        assert threading.active_count() == threads
        await peer.close()


# Candidates


async def gathered(sockets: Sockets, *servers: IceServer) -> tuple[list[str], Peer]:
    peer = Peer(replace(SETTINGS, sockets=sockets, servers=servers), rate=24_000, frame_samples=1_920)
    answer = await peer.answer(FFMPEG)
    return [line for line in answer.splitlines() if "candidate" in line], peer


def is_asking(peer: Peer) -> bool:
    """Whether servers are still asked."""
    return peer._gathering is not None and not peer._gathering.done.is_set()


async def test_ports_come_from_the_range_and_run_out() -> None:
    sockets = Sockets(ports=(41_000, 41_002), addresses=("127.0.0.1",))
    peers, ports = [], set()
    for _ in range(3):
        lines, peer = await gathered(sockets)
        peers.append(peer)
        ports.add(int(lines[0].split()[5]))
    assert ports == {41_000, 41_001, 41_002}
    with pytest.raises(NoPort):
        await gathered(sockets)
    await peers.pop().close()
    _, peer = await gathered(sockets)  # a port that was given back is used again
    for other in (peer, *peers):
        await other.close()


async def test_calls_leave_descriptors_for_those_who_must_be_refused() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)  # the lowest descriptor that is free now
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + gathering.DESCRIPTORS_KEPT, hard))
        with pytest.raises(NoPort):
            await gathered(Sockets())
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + gathering.DESCRIPTORS_KEPT + 20, hard))
        _, peer = await gathered(Sockets())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await peer.close()


async def test_room_is_made_for_the_longest_datagram_and_no_more() -> None:
    _, peer = await gathered(Sockets())
    assert peer._transceiver is not None
    for protocol in compat.ice_connection(peer._transceiver)._protocols:
        transport: Any = protocol.transport
        assert type(transport).max_size > guard.LONGEST_DATAGRAM  # asyncio still asks for it
        assert transport.max_size == guard.LONGEST_DATAGRAM + 1
    await peer.close()


async def test_loopback_is_offered_only_when_asked_for() -> None:
    for loopback in (False, True):
        lines, peer = await gathered(Sockets(loopback=loopback))
        assert any(" 127.0.0.1 " in line for line in lines) == loopback
        await peer.close()


async def test_the_public_address_is_told_instead_of_ours() -> None:
    lines, peer = await gathered(Sockets(addresses=("127.0.0.1",), public_address="203.0.113.5"))
    assert " 203.0.113.5 " in lines[0]
    assert "127.0.0.1" not in "".join(lines)
    await peer.close()


async def test_a_dead_stun_server_delays_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer((f"stun:127.0.0.1:{silent.getsockname()[1]}",))
        lines, peer = await gathered(Sockets(), server)
        assert lines
        assert "a=end-of-candidates" not in lines
        assert is_asking(peer)
        async with Caller() as caller:
            other = Peer(replace(SETTINGS, servers=(server,)), rate=24_000, frame_samples=1_920)
            async with asyncio.timeout(20):  # it is asked for a minute
                await caller.call(other)
            assert is_asking(other)
            await other.close()
        await peer.close()


class StunServer(asyncio.DatagramProtocol):
    """Answers every binding request with one public address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        request = aioice.stun.parse_message(data)
        response = aioice.stun.Message(
            message_method=request.message_method,
            message_class=aioice.stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 40_000)
        self.transport.sendto(bytes(response), address)


async def test_a_server_reflexive_candidate_is_trickled() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    server = IceServer((f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}",))
    sockets = Sockets(addresses=("127.0.0.1",))
    _, peer = await gathered(sockets, server)
    async with asyncio.timeout(3):
        told = [candidate async for candidate in peer.candidates()]
    assert told[-1] is None
    assert told[0] is not None
    assert "203.0.113.9 40000 typ srflx" in str(told[0]["candidate"])
    assert (told[0]["sdpMid"], told[0]["sdpMLineIndex"]) == ("0", 0)
    await peer.close()

    whole = Peer(PeerSettings(sockets=sockets, servers=(server,)), rate=24_000, frame_samples=1_920)
    assert "typ srflx" in await whole.gathered_answer(FFMPEG)
    await whole.close()
    transport.close()


# Packets


async def test_receiver_reports_are_sent_and_tell_the_loss() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        reports: asyncio.Queue[RtcpRrPacket] = asyncio.Queue()
        sender: Any = caller.connection.getTransceivers()[0].sender.transport

        async def spy(data: bytes) -> None:
            for packet in RtcpPacket.parse(data):
                if isinstance(packet, RtcpRrPacket):
                    reports.put_nowait(packet)

        sender._handle_rtcp_data = spy
        voice = opus_packets(tone(0.2))
        for index in (0, 1, 2, 4, 6, 7):
            await caller.send(rtp(index, index * 960, voice[index]))
        report = await asyncio.wait_for(reports.get(), 3)
        assert [(info.ssrc, info.packets_lost, info.highest_sequence) for info in report.reports] == [(1234, 2, 7)]
        await peer.close()


async def test_a_packet_waits_in_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    monkeypatch.setattr(Peer, "_receive", lambda peer, arrival: heard.append(arrival.payload))
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        assert peer._transceiver is not None
        ice = compat.ice_connection(peer._transceiver)
        came = asyncio.Event()
        take = ice.data_received

        def watched(data: bytes, component: int) -> None:
            before = ice._queue.qsize()
            take(data, component)
            if is_rtp(data):
                assert ice._queue.qsize() == before
                assert heard  # in the same breath
                came.set()

        monkeypatch.setattr(ice, "data_received", watched)
        await caller.send(rtp(0, 0, b"voice"))
        async with asyncio.timeout(5):
            await came.wait()
        assert heard == [b"voice"]
    await peer.close()


@pytest.mark.parametrize("begins", ["caller", "server"])
async def test_what_a_caller_sends_as_soon_as_it_has_keys_comes_in_order(begins: str) -> None:
    """Its half of the handshake may be over before ours is."""
    peer, voice = new_peer(), opus_packets(tone(0.4))
    async with Caller() as caller:
        setup = "actpass" if begins == "caller" else "passive"
        answer = await peer.answer((await caller.offer()).replace("a=setup:actpass", f"a=setup:{setup}"))
        dtls: Any = caller.connection.getTransceivers()[0].sender.transport
        make_keys = dtls._setup_srtp

        def speak_at_once() -> None:
            make_keys()
            ice = dtls.transport._connection
            (pair,) = ice._nominated.values()
            for index, payload in enumerate(voice):
                pair.protocol.transport.sendto(
                    dtls._tx_srtp.protect(rtp(index, index * 960, payload)), pair.remote_addr
                )

        dtls._setup_srtp = speak_at_once
        await caller.accept(answer)
        await peer.connected()
        await caller.connected()
        await peer.finish()
        stats = peer.stats
        assert (stats.received, stats.late, stats.lost, stats.reordered) == (len(voice), 0, 0, 0)
    await peer.close()


async def test_only_eight_senders_are_remembered_and_the_close_returns() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        for ssrc in range(300):
            await caller.send(rtp(1, 2**32 - 1 if ssrc % 2 else 0, b"\x78\x00", ssrc=ssrc))
        await caller.play(opus_packets(tone(0.02)))
        assert peer._transceiver is not None
        streams = vars(peer._transceiver.receiver)["_RTCRtpReceiver__remote_streams"]
        caller.channel.send("all has come")
        await anext(peer.messages())
        assert len(streams) == packets.MOST_SENDERS
        assert len(peer._transceiver.receiver.transport._rtp_router.ssrc_table) <= packets.MOST_SENDERS + 1
        await asyncio.wait_for(peer.close(), 2)
        assert not peer.abandoned


async def test_however_often_the_sender_changed_the_present_one_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.rivals.TURN", 0.0)  # they need not wait for each other
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(0.1))
        for ssrc in range(packets.MOST_SENDERS + 2):
            for index, payload in enumerate(voice):
                await caller.send(rtp(index, index * 960, payload, ssrc=1000 + ssrc))
        await peer.finish()
        assert peer.stats.received == (packets.MOST_SENDERS + 2) * len(voice)
        await peer.close()


async def test_what_redundancy_has_repaired_is_reported_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, statistics = new_peer(), packets._Statistics()
    monkeypatch.setattr(packets, "_Statistics", lambda: statistics)
    async with Caller() as caller:
        await caller.connection.setLocalDescription(await caller.connection.createOffer())
        offer = caller.connection.localDescription.sdp
        mline = next(line for line in offer.splitlines() if line.startswith("m=audio"))
        redundant = f"{mline} {RED}\r\na=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}"
        await peer.answer(offer.replace(mline, redundant))
        assert peer._transceiver is not None
        taker = cast(Any, compat.ice_connection(peer._transceiver).data_received).__self__
        voice = opus_packets(tone(0.4))
        for index in range(1, 20):
            if index % 5 != 4:
                blocks = [Block(OPUS, 960, voice[index - 1]), Block(OPUS, 0, voice[index])]
                taker._take_rtp(rtp(index, index * 960, wrap(blocks), payload_type=RED))
        assert (peer.stats.repaired, peer.stats.lost) == (3, 0)
        assert (statistics.packets_lost, statistics.fraction_lost) == (3, 256 * 3 // 18)
        await peer.close()


def test_any_figures_fit_a_report() -> None:
    statistics = packets._Statistics()
    for index in range(200):
        statistics.reception.add(index * 2_000 % 2**16, (2**32 - 1) * (index % 2), 48_000, float(index))
    assert 0 <= statistics.fraction_lost < 256
    struct.pack("!LL", statistics.jitter, statistics.max_seq)
    assert -(2**23) <= statistics.packets_lost < 2**23


async def test_the_turns_of_the_sequence_are_in_the_reports() -> None:
    statistics = packets._Statistics()
    for index in range(65_530, 65_546):
        statistics.reception.add(index % 2**16, index * 960, 48_000, index * 0.02)
    assert (statistics.max_seq, statistics.packets_lost) == (65_545, 0)


async def test_the_reports_of_the_sender_are_handed_on_and_garbage_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, reports = new_peer(), list[SenderReport]()
    monkeypatch.setattr(peer, "_report", reports.append)
    async with Caller() as caller:
        await caller.call(peer)
        report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 1234, 3_900_000_000, 1 << 31, 48_000, 50, 4_000)
        for datagram in (b"\x80\xc8\x00\x09" + bytes(24), report):
            await caller.send(datagram)
        caller.channel.send("all has come")
        await anext(peer.messages())
        assert reports == [SenderReport(1234, 3_900_000_000.5, 48_000)]
        await peer.close()


async def test_the_round_trip_is_that_of_ices_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.02)
    monkeypatch.setattr(guard, "SMOOTHING", 1.0)
    peer, far, timed = new_peer(), 0.05, asyncio.Queue[float]()
    time = guard.GuardedProtocol._time

    def note(protocol: guard.GuardedProtocol, address: tuple[str, int], elapsed: float) -> None:
        time(protocol, address, elapsed)
        timed.put_nowait(elapsed)

    monkeypatch.setattr(guard.GuardedProtocol, "_time", note)
    unknown = peer.round_trip
    async with Caller() as caller:
        await caller.call(peer)
        near = peer.round_trip
        loop = asyncio.get_running_loop()
        for protocol in compat.ice_connection(caller.connection.getTransceivers()[0])._protocols:
            send = protocol.send_stun
            monkeypatch.setattr(protocol, "send_stun", lambda *what, send=send: loop.call_later(far, send, *what))
        async with asyncio.timeout(5):
            while await timed.get() < far * 0.9:  # those that were under way
                pass
        assert unknown is None
        assert near is not None
        assert peer.round_trip is not None
        assert 0 < near < peer.round_trip < aioice.stun.RETRY_RTO
        await peer.close()


async def test_a_caller_far_away_is_kept_and_one_that_is_gone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, far = new_peer(), 0.06
    async with Caller() as caller:
        await caller.call(peer)
        monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.1)
        monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 3)
        monkeypatch.setattr("aioice.stun.RETRY_RTO", far / 2)  # a round trip that aioice does not wait for
        answered, late = asyncio.Queue[None](), guard.GuardedProtocol._hear_late

        def note(protocol: guard.GuardedProtocol, message: Any, address: tuple[str, int]) -> None:
            late(protocol, message, address)
            if protocol._late is not None:
                answered.put_nowait(None)

        monkeypatch.setattr(guard.GuardedProtocol, "_hear_late", note)
        loop = asyncio.get_running_loop()
        ice = compat.ice_connection(caller.connection.getTransceivers()[0])
        for protocol in ice._protocols:
            send = protocol.send_stun
            monkeypatch.setattr(protocol, "send_stun", lambda *what, send=send: loop.call_later(far, send, *what))
        assert peer._transceiver is not None
        server = compat.ice_connection(peer._transceiver)
        assert server._query_consent_task is not None
        server._query_consent_task.cancel()  # it sleeps for the five seconds of before
        server._query_consent_task = asyncio.create_task(server.query_consent())
        async with asyncio.timeout(5):
            for _ in range(10):
                await answered.get()
        assert server._query_consent_task is not None
        assert peer.round_trip is not None
        compat.sever(ice)
        assert await asyncio.wait_for(peer.lost(), 5) == "lost"
        await peer.close()


async def test_an_answer_that_was_not_signed_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, transceiver = compat.open_connection([])
    protocol = guard.GuardedProtocol(compat.ice_connection(transceiver))
    request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    protocol._overdue = request.transaction_id, b"key", 0.0
    answer = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, request.transaction_id)
    for key, kept in ((b"guess", False), (b"key", True)):
        answer.attributes.clear()
        answer.add_message_integrity(key)
        protocol.datagram_received(bytes(answer), ("192.0.2.1", 1))
        assert (protocol._late is not None) == kept
    await connection.close()


async def test_a_late_answer_stands_in_for_no_check_after_one_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[bool] = []

    async def ask(protocol: Any, request: Any, address: Any, *arguments: Any) -> str:
        if outcomes.pop(0):
            return "in time"
        raise aioice.stun.TransactionTimeout

    async def answers(*come: bool) -> list[Any]:
        """What a check with the caller's consent gets, each time that an answer comes in time or not."""
        outcomes[:] = come
        return [await protocol.request(cast(Any, request), address, b"key", 0) for _ in come]

    monkeypatch.setattr(aioice.ice.StunProtocol, "request", ask)
    connection, transceiver = compat.open_connection([])
    protocol = guard.GuardedProtocol(compat.ice_connection(transceiver))
    request = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    late = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, request.transaction_id)
    late.add_message_integrity(b"key")
    address = ("192.0.2.1", 1)
    with pytest.raises(aioice.stun.TransactionTimeout):
        await answers(False)
    protocol.datagram_received(bytes(late), address)
    (stood_in, _) = await answers(False, True)
    assert stood_in[1] == address
    with pytest.raises(aioice.stun.TransactionTimeout):
        await answers(False)
    protocol.datagram_received(bytes(late), address)
    await answers(True)
    with pytest.raises(aioice.stun.TransactionTimeout):
        await answers(False)
    await connection.close()


async def test_a_check_that_may_have_been_sent_again_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(*arguments: Any) -> None:
        now.append(aioice.stun.RETRY_RTO)

    now, address = [0.0], ("192.0.2.1", 1)
    monkeypatch.setattr(aioice.ice.StunProtocol, "request", slowly)
    connection, transceiver = compat.open_connection([])
    protocol = guard.GuardedProtocol(compat.ice_connection(transceiver))
    monkeypatch.setattr(protocol, "_clock", lambda: sum(now))
    await protocol.request(cast(Any, None), address, b"key")
    await protocol.request(cast(Any, None), address)  # a question to a server
    assert protocol.round_trips == {}
    await connection.close()


async def test_the_answer_names_every_codec_of_the_offer_that_we_know() -> None:
    connection, transceiver = compat.open_connection([])
    compat.answer_codecs(transceiver, [Format(35, "opus", 48_000, 2), Format(0, "PCMU", 8_000)])
    assert [(codec.payloadType, codec.name, codec.parameters) for codec in transceiver._codecs] == [
        (35, "opus", {"minptime": 10, "useinbandfec": 1}),
        (0, "PCMU", {}),
    ]
    await connection.close()


# Data channels


async def test_a_fifth_channel_is_not_opened() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        for label in "abcdef":
            caller.connection.createDataChannel(label)
        caller.channel.send("after them")
        await anext(peer.messages())
        assert peer._connection is not None
        assert peer._connection.sctp is not None
        assert len(peer._connection.sctp._data_channels) == 4
        await peer.close()


async def test_a_flood_of_channels_costs_no_memory_and_not_the_first_one() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        for number in range(60):
            caller.connection.createDataChannel(f"flood {number}")
        caller.channel.send("after them")
        assert await asyncio.wait_for(anext(peer.messages()), 3) == "after them"
        assert peer._connection is not None
        inbound: Any = peer._connection.sctp
        assert len(inbound._inbound_streams) == 16
        await peer.close()


@pytest.mark.parametrize("size", [16_385, 500_000])
async def test_a_message_that_is_too_long_closes_its_channel(size: int) -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        closed = asyncio.Event()
        caller.channel.on("close", closed.set)
        sctp: Any = caller.connection.sctp
        sctp._remote_max_message_size = 0  # a client that does not keep to what the answer says
        caller.channel.send("x" * size)
        await asyncio.wait_for(closed.wait(), 5)
        assert peer._connection is not None
        assert peer._connection.connectionState == "connected"
        inbound: Any = peer._connection.sctp
        assert all(
            sum(len(part.user_data) for part in stream.reassembly) <= 65_536
            for stream in inbound._inbound_streams.values()
        )
        await peer.close()


async def test_text_that_is_none_costs_the_channel_and_not_the_call() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        closed = asyncio.Event()
        caller.channel.on("close", closed.set)
        sctp: Any = caller.connection.sctp
        await sctp._send(caller.channel.id, 51, b"\xff\xfe")  # 51: a string
        await asyncio.wait_for(closed.wait(), 3)
        assert peer._connection is not None
        assert peer._connection.connectionState == "connected"
        await peer.close()
