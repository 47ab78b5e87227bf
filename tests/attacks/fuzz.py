"""Everything that reads what a caller sends, given input bent by chance: it is taken, or refused with an error of its
own. Whatever else comes of it is a crash, and stays in the corpus as a seed.

The tests give each target a little of it; `python -m bench.fuzz` gives it hundreds of thousands.
"""

import asyncio
import json
import random
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from aioice import ice, stun
from aiortc import rtcsctptransport as aiortc
from aiortc.sdp import SessionDescription

from media import candidates, compat, dtmf, red, rtcp, rtp, sctp
from media.compat import gathering, guard
from media.errors import BadCandidate, BadMedia, BadOffer
from media.ice import Sockets
from media.ogg import OggOpus
from media.peer import Peer, PeerSettings
from media.sdp import LONGEST_MESSAGE, check_offer
from media.voice import OpusDecoder
from signaling import sdpfrag
from signaling.dialects.native import Native
from signaling.errors import BadMessage, OutOfOrder, TooLarge
from signaling.negotiation import Negotiation
from tests.attacks.bent import bent
from tests.media import oggs
from tests.media.caller import rtp as packet
from tests.media.line import OPUS, RED, VOICE, Line
from tests.media.mutation import mutated
from tests.media.offers import CHROME
from tests.media.redundancy import wrap

CORPUS = Path(__file__).parent / "corpus"
Outcome = Literal["taken", "refused"]


class Target(ABC):
    """One parser, or several behind one another. `share`: how many of its inputs there are for each of the others'."""

    seeds: Sequence[bytes] = ()
    share = 1.0

    def make(self, chance: random.Random) -> bytes:
        """An input."""
        return bent(chance, self.seeds)

    @abstractmethod
    async def judge(self, data: bytes) -> Outcome:
        """Read it. Raises what a crash raises."""

    async def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back what it took."""


class Rtp(Target):
    seeds = (
        packet(1, 960, VOICE[0], payload_type=111),
        bytes.fromhex("b2e3 0001 00000002 00000003 00000004 00000005 bede0001 10ff0000") + VOICE[1] + b"\x00\x00\x03",
    )

    async def judge(self, data: bytes) -> Outcome:
        return _read(rtp.parse, data)


class Rtcp(Target):
    seeds = (
        struct.pack("!BBHLQLLL", 0x80, 200, 6, 1234, 1 << 60, 960, 1, 160),
        struct.pack("!BBHL", 0x81, 201, 7, 1) + bytes(24),
        struct.pack("!BBHLBB", 0x81, 202, 3, 1, 1, 4) + b"name\x00\x00",
        struct.pack("!BBHL", 0x81, 203, 1, 1234),
        struct.pack("!BBHLL4sBBHL", 0x8F, 206, 5, 1, 0, b"REMB", 1, 0, 9, 1234),
        struct.pack("!BBHLLHH", 0x81, 205, 3, 1, 2, 3, 0xFFFF),
    )

    def __init__(self) -> None:
        self._connection, transceiver = compat.open_connection([])
        self._transport: Any = transceiver.receiver.transport
        compat.take_packets(transceiver.receiver, [OPUS], _ignore, _ignore, lambda: None)

    async def judge(self, data: bytes) -> Outcome:
        await self._transport._handle_rtcp_data(data)
        return _read(rtcp.sender_reports, data)

    async def close(self) -> None:
        await self._connection.close()


class Red(Target):
    seeds = (
        wrap([red.Block(111, 960, VOICE[0]), red.Block(111, 0, VOICE[1])]),
        wrap([red.Block(111, 1_920, b"ab"), red.Block(111, 960, b"cd"), red.Block(111, 0, b"ef")]),
    )

    async def judge(self, data: bytes) -> Outcome:
        return _read(lambda payload: red.unwrap(rtp.Arrival(1, 63, 5, 6, payload)), data)


class Events(Target):
    seeds = (bytes.fromhex("018a03c0"), bytes.fromhex("0b8a03c0"), bytes.fromhex("050affff"))

    async def judge(self, data: bytes) -> Outcome:
        return _read(dtmf.parse, data)


class Packets(Target):
    """RTP of every format that is agreed on, into one track after another: decoders, digits, redundancy, clocks."""

    share = 0.2
    decoder: OpusDecoder = "pyav"
    seeds = tuple(
        packet(0, 0, payload, payload_type=payload_type, ssrc=7)
        for index in range(3)
        for payload_type, payload in (
            (OPUS.payload_type, VOICE[index]),
            (RED.payload_type, wrap([red.Block(111, 960, VOICE[index]), red.Block(111, 0, VOICE[index + 1])])),
            (0, bytes(160)),
            (9, bytes(range(160))),
            (13, b"\x40"),
            (110, bytes.fromhex("018a03c0")),
            (126, bytes.fromhex("038a0140")),
        )
    )

    def __init__(self) -> None:
        self._line: Line | None = None
        self._fed = 0

    async def judge(self, data: bytes) -> Outcome:
        if self._line is None or self._fed == 200:
            await self.close()
            self._line, self._fed = Line(backlog=2.0, decoder=self.decoder), 0
        self._fed += 1
        try:
            arrival = rtp.parse(data)
        except ValueError:
            return "refused"
        self._line.track.receive(self._next(arrival))
        self._line.clock.advance(0.02)
        return "taken"

    def _next(self, arrival: rtp.Arrival) -> rtp.Arrival:
        """The packet as the next in order, where its own numbers are whole: otherwise few would be decoded."""
        return arrival._replace(
            sequence_number=(arrival.sequence_number + self._fed) % 2**16,
            timestamp=(arrival.timestamp + 960 * self._fed) % 2**32,
        )

    async def close(self) -> None:
        if self._line is not None:
            self._line.track.end()


class LibopusPackets(Packets):
    decoder = "libopus"


class Stun(Target):
    """Datagrams at a guarded socket: as they are, and signed, so that what is in them is believed."""

    PASSWORD = b"p" * 22
    seeds = (
        bytes.fromhex("000100002112a442") + bytes(12),
        bytes.fromhex("0001003c2112a442")
        + bytes(12)
        + bytes.fromhex(
            "0006000961626364 3a776f7264 000000 002400046e7f1eff 8029000800000000 00000001".replace(" ", "")
        )
        + bytes.fromhex("00250000 802a0008 ffffffffffffffff".replace(" ", "")),
        bytes.fromhex("010100142112a442") + bytes(12) + bytes.fromhex("00200008000112342112a443"),
        bytes.fromhex("011100142112a442") + bytes(12) + bytes.fromhex("0009000800000457 526f6c65".replace(" ", "")),
    )

    def __init__(self) -> None:
        self._connection: ice.Connection | None = None
        self._heard = 0

    def make(self, chance: random.Random) -> bytes:
        data = super().make(chance)
        return signed(data, self.PASSWORD) if chance.random() < 0.5 and len(data) >= 20 else data

    async def judge(self, data: bytes) -> Outcome:
        if self._connection is None or self._heard == 100:
            await self.close()
            self._start()
        assert self._connection is not None
        self._heard += 1
        before = self._protocol.refused
        self._protocol.datagram_received(data, ("192.0.2.7", 1 + self._heard))
        await asyncio.sleep(0)
        return "refused" if self._protocol.refused > before else "taken"

    def _start(self) -> None:
        self._heard = 0
        connection = ice.Connection(
            ice_controlling=False, local_username="abcd", local_password=self.PASSWORD.decode(), components=1
        )
        connection.remote_username, connection.remote_password = "word", "q" * 22
        connection._early_checks_done = True
        self._connection = connection
        self._protocol = guard.GuardedProtocol(connection)
        self._protocol.local_candidate = gathering._host_candidate("192.0.2.1", 5_000)
        self._protocol.transport = cast(Any, Nowhere())

    async def close(self) -> None:
        if self._connection is not None:
            for pair in self._connection._check_list:
                if pair.task is not None:
                    pair.task.cancel()
                    await asyncio.gather(pair.task, return_exceptions=True)
            await self._connection.close()


class Sctp(Target):
    """Packets with the right tag and checksum at a guarded association."""

    seeds = tuple(
        bytes(8) + struct.pack("!BBH", kind, 3, 4 + len(body)) + body + bytes(-len(body) % 4)
        for kind, body in (
            (0, struct.pack("!LHHL", 1, 0, 0, 50) + struct.pack("!BBHLHH", 3, 0, 0, 0, 6, 0) + b"events"),
            (0, struct.pack("!LHHL", 2, 0, 1, 51) + b'{"type":"flush"}'),
            (1, struct.pack("!LLHHL", 1, 131_072, 65_535, 65_535, 1) + bytes.fromhex("c00000048008000682c00000")),
            (3, struct.pack("!LLHHHHHHL", 1, 131_072, 2, 1, 2, 3, 5, 5, 9)),
            (4, bytes.fromhex("0001000c") + bytes(8)),
            (6, bytes.fromhex("000c0004")),
            (7, bytes(4)),
            (9, bytes.fromhex("00030008") + bytes(4)),
            (10, bytes(24)),
            (11, b""),
            (130, struct.pack("!HHLLLH", 13, 18, 1, 0, 1, 0) + bytes(2)),
            (130, struct.pack("!HHLL", 16, 12, 1, 1)),
            (192, struct.pack("!LHH", 3, 0, 0)),
        )
    )

    def __init__(self) -> None:
        self._association: aiortc.RTCSctpTransport | None = None
        self._heard = 0

    async def judge(self, data: bytes) -> Outcome:
        if self._association is None or self._heard == 100:
            await self.close()
            self._start()
        assert self._association is not None
        self._heard += 1
        body = data[8:]
        tag = 0 if body[:1] == b"\x01" else self._association._local_verification_tag
        whole = sealed(struct.pack("!HHL", 5_000, 5_000, tag) + bytes(4) + body)
        await self._association._handle_data(whole)
        await asyncio.sleep(0)
        return _read(sctp.check, whole)

    def _start(self) -> None:
        self._heard = 0
        association = aiortc.RTCSctpTransport(cast(Any, Nowhere()))
        compat.guard_channels(association, most=4, longest=LONGEST_MESSAGE)
        association._remote_port = 5_000
        association._data_channel_id = 1
        association._last_received_tsn = 0
        association._ssthresh = 131_072
        association._set_state(association.State.ESTABLISHED)
        self._association = association

    async def close(self) -> None:
        if self._association is not None:
            await self._association.stop()


class Offers(Target):
    seeds = ()

    def make(self, chance: random.Random) -> bytes:
        return mutated(chance).encode("utf-8", "surrogatepass")

    async def judge(self, data: bytes) -> Outcome:
        try:
            SessionDescription.parse(check_offer(data.decode("utf-8", "surrogatepass")).plain())
        except BadOffer:
            return "refused"
        return "taken"


class Answers(Offers):
    """The same offers through a whole peer, sockets and all."""

    share = 0.02

    async def judge(self, data: bytes) -> Outcome:
        settings = PeerSettings(sockets=Sockets(addresses=("127.0.0.1",)))
        peer = Peer(settings, rate=24_000, frame_samples=1_920)
        try:
            SessionDescription.parse(await peer.answer(data.decode("utf-8", "surrogatepass")))
        except BadOffer:
            return "refused"
        finally:
            await peer.close()
        return "taken"


class Candidates(Target):
    seeds = (
        b"candidate:1 1 udp 2122260223 192.0.2.7 5000 typ host generation 0 ufrag abcd",
        b"candidate:842163049 1 udp 1677729535 2001:db8::7 46154 typ srflx raddr 0.0.0.0 rport 0",
        b"a=candidate:1 1 tcp 1518280447 fe80::1%eth0 9 typ host tcptype active",
    )

    async def judge(self, data: bytes) -> Outcome:
        try:
            candidates.usable(candidates.parse(data.decode("utf-8", "replace")), loopback=True)
        except BadCandidate:
            return "refused"
        return "taken"


class Commands(Target):
    """What comes on a data channel."""

    seeds = (b'{"type":"mark","id":7}', b'{"type":"flush"}', b'{"type":"finish","x":[1,{"y":null}]}', b"[1e9]")

    async def judge(self, data: bytes) -> Outcome:
        try:
            Native().decode(data.decode("utf-8", "replace"))
        except (BadMessage, TooLarge):
            return "refused"
        return "taken"


class Signals(Target):
    """What comes on the signaling socket, in any order."""

    seeds = tuple(
        json.dumps(fields).encode()
        for fields in (
            {"type": "offer", "sdp": CHROME[:60]},
            {"type": "candidate", "candidate": {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}},
            {"type": "candidate", "candidate": None},
            {"type": "restart", "sdp": "v=0"},
            {"type": "resume", "session": "s" * 22, "token": "t" * 43, "seq": 12},
            {"type": "bye"},
        )
    )

    def __init__(self) -> None:
        self._conversation = Negotiation()

    async def judge(self, data: bytes) -> Outcome:
        try:
            self._conversation.receive(data.decode("utf-8", "replace"))
        except (BadMessage, OutOfOrder, TooLarge):
            self._conversation = Negotiation()
            return "refused"
        return "taken"


class Fragments(Target):
    """What publishers trickle."""

    seeds = (
        b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        b"a=candidate:1 1 udp 1 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n",
    )

    async def judge(self, data: bytes) -> Outcome:
        try:
            sdpfrag.parse(data.decode("utf-8", "replace"))
        except BadMessage:
            return "refused"
        return "taken"


class Ogg(Target):
    """Ogg Opus in pieces, most of it with checksums that are right."""

    share = 0.2
    decoder: OpusDecoder = "libopus"
    seeds = (
        b"".join(oggs.pages(VOICE[:4], a_page=2)),
        b"".join(oggs.pages(VOICE[:2], first=oggs.head(pre_skip=312, gain=-600), vendor=b"sphn") * 2),
        b"".join([*oggs.HEADERS, oggs.raw_page(b"\xff", bytes(255), 2, -1), oggs.page([VOICE[0]], 9, 1 << 40)]),
    )

    def make(self, chance: random.Random) -> bytes:
        data = super().make(chance)
        return oggs.resealed(data) if chance.random() < 0.8 else data

    async def judge(self, data: bytes) -> Outcome:
        ogg = OggOpus(24_000, self.decoder)
        size = 1 + zlib.crc32(data) % 300
        try:
            for start in range(0, len(data), size):
                for pcm in ogg.feed(data[start : start + size]):
                    assert np.isfinite(pcm).all()
        except BadMedia:
            return "refused"
        return "taken"


class PyAVOgg(Ogg):
    share = 0.1
    decoder = "pyav"


TARGETS: dict[str, type[Target]] = {
    "rtp": Rtp,
    "rtcp": Rtcp,
    "red": Red,
    "events": Events,
    "packets": Packets,
    "packets-libopus": LibopusPackets,
    "stun": Stun,
    "sctp": Sctp,
    "offers": Offers,
    "answers": Answers,
    "candidates": Candidates,
    "commands": Commands,
    "signals": Signals,
    "fragments": Fragments,
    "ogg": Ogg,
    "ogg-pyav": PyAVOgg,
}


def corpus(name: str) -> list[bytes]:
    """The inputs that once were too much for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


class Nowhere:
    """A transport that takes everything and sends nothing."""

    state = "connected"
    _role = "server"

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        pass

    def close(self) -> None:
        pass

    async def _send_data(self, data: bytes) -> None:
        pass

    def _unregister_data_receiver(self, receiver: object) -> None:
        pass


def signed(message: bytes, password: bytes) -> bytes:
    """A STUN message of any content with the integrity that makes it the caller's."""
    longer = struct.pack("!H", (len(message) + 4) & 0xFFFC)
    body = message[:2] + longer + bytes.fromhex("2112a442") + message[8:]
    digest = stun.message_integrity(body, password)
    return body[:2] + struct.pack("!H", len(body) + 4) + body[4:] + bytes.fromhex("00080014") + digest


def sealed(whole: bytes) -> bytes:
    """An SCTP packet with the checksum that it should have."""
    checksum: int = cast(Any, aiortc).crc32c(whole[:8] + bytes(4) + whole[12:])
    return whole[:8] + struct.pack("<L", checksum) + whole[12:]


def _ignore(item: object) -> None:
    """What a packet or a report says."""


def _read(parse: Any, data: bytes) -> Outcome:
    try:
        parse(data)
    except ValueError:
        return "refused"
    return "taken"
