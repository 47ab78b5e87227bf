"""What a caller should not do to its data channels, or to the SCTP and DTLS below them.

After each the call goes on; where the caller has shut its own channel, its words are told on the next one that it
opens. Where it has ended the association itself, no channel can be had any more, and its audio is still heard: the
words stand in the session's log, for whoever resumes it. A caller who ends DTLS has hung up.
"""

import asyncio
import json
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiortc import rtcsctptransport as sctp

from media.channel import LONGEST_WAITING
from media.errors import SlowReader
from media.peer import Peer
from tests.attacks.line import Line, sound
from tests.media.caller import Caller, new_peer
from tests.signaling.house import House, OpenHouse

STRING, CONTROL, OPEN = 51, 50, 3

Attack = Callable[[Line], Awaitable[None]]


async def send_chunk(line: Line, kind: int, body: bytes, flags: int = 0) -> None:
    """One chunk with the right tag and checksum: nothing but what it says is wrong with it."""
    chunk = sctp.Chunk(flags, body)
    chunk.type = kind
    await line.sctp._send_chunk(chunk)
    await asyncio.sleep(0)


async def send_data(line: Line, tsn: int, stream: int, data: bytes, *, flags: int = 3, protocol: int = STRING) -> None:
    await send_chunk(line, 0, struct.pack("!LHHL", tsn % 2**32, stream, 0, protocol) + data, flags)


def opening(label: bytes, *, kind: int = 0, told: int | None = None) -> bytes:
    return struct.pack("!BBHLHH", OPEN, kind, 0, 0, len(label) if told is None else told, 0) + label


# The call goes on, and so does the channel


async def commands_that_are_none(line: Line) -> None:
    for message in ("", "{", "[]", "null", '{"type":7}', '{"type":"mark","id":1e400}', "[" * 10_000, "\x00" * 100):
        line.caller.channel.send(message)
        await asyncio.sleep(0.005)
    for binary in (b"", b"\x00\xff", bytes(16_000)):
        line.caller.channel.send(binary)
        await asyncio.sleep(0.005)


async def a_parameter_of_no_length(line: Line) -> None:
    for kind in (4, 5, 6, 9, 130):
        await send_chunk(line, kind, bytes(4))


async def an_acknowledgement_of_everything_often(line: Line) -> None:
    gaps = struct.pack("!HH", 0, 65_535) * 280
    await send_chunk(line, 3, struct.pack("!LLHH", line.sctp._last_received_tsn, 1, 280, 0) + gaps)


async def acknowledgements_that_lie(line: Line) -> None:
    for ahead in (1, 1_000, 2**31 - 1):
        number = (line.sctp._last_received_tsn - ahead) % 2**32
        await send_chunk(line, 3, struct.pack("!LLHHHH", number, 0, 1, 0, 5, 4))
        await send_chunk(line, 3, struct.pack("!LLHH", number, 0, 65_535, 65_535))


async def chunks_far_ahead(line: Line) -> None:
    for ahead in range(3_000):
        await send_data(line, line.sctp._local_tsn + 10 + 2 * ahead, 8, b"x")


async def the_middle_of_a_message_without_end(line: Line) -> None:
    for index in range(400):
        await send_data(line, line.sctp._local_tsn + 1 + index, 2, bytes(1_000), flags=0)


async def chunks_of_every_kind(line: Line) -> None:
    chance = random.Random(4)
    for kind in range(256):
        if kind not in (1, 2, 6, 7, 10, 14, 192):  # what ends or restarts the association is below
            await send_chunk(line, kind, chance.randbytes(chance.randint(0, 40)))


async def noise_below_the_channels(line: Line) -> None:
    chance = random.Random(5)
    for size in (0, 1, 11, 12, 15, 16, 100, 1_100):
        await line.dtls._send_data(chance.randbytes(size) or b"x")


async def openings_that_cannot_be_read(line: Line) -> None:
    for data in (b"", b"\x03", b"\x00", b"\xff" * 12, opening(b"\xff\xfe"), opening(b"x", told=60_000), b"\x02"):
        if data:
            await line.sctp._send(40, CONTROL, data)


async def a_channel_that_is_opened_twice(line: Line) -> None:
    await line.sctp._send(line.caller.channel.id, CONTROL, opening(b"events"))


async def channels_of_every_label(line: Line) -> None:
    for stream, label in enumerate((b"", b"events", b"\x00", "🦆".encode() * 200, b"x" * 1_100)):
        await line.sctp._send(100 + 2 * stream, CONTROL, opening(label, kind=0x82))


async def three_thousand_channels(line: Line) -> None:  # G12
    for stream in range(3_000):
        line.sctp._outbound_stream_seq.clear()
        await line.sctp._send(10 + stream, CONTROL, opening(b"flood"))
    await line.sctp._transmit()


async def a_leap_over_three_hundred_streams(line: Line) -> None:
    streams = b"".join(struct.pack("!HH", 1_000 + stream, 9) for stream in range(280))
    await send_chunk(line, 192, struct.pack("!L", line.sctp._local_tsn - 1) + streams)


async def resets_of_what_is_not_there(line: Line) -> None:
    for number in range(20):
        head = struct.pack("!LLL", line.sctp._reconfig_request_seq + number, 0, line.sctp._local_tsn - 1)
        reset = struct.pack("!HH", 13, 4 + 12 + 200) + head + struct.pack("!100H", *range(200, 300))
        await send_chunk(line, 130, reset)
    for result in range(8):
        await send_chunk(line, 130, struct.pack("!HHLL", 16, 12, 0, result))
        await send_chunk(line, 130, struct.pack("!HHLHH", 17, 12, result, 60_000, 0))


async def a_flood_of_heartbeats(line: Line) -> None:
    for _ in range(500):
        await send_chunk(line, 4, struct.pack("!HH", 1, 1_000) + bytes(996))


async def a_second_init(line: Line) -> None:
    init = struct.pack("!LLHHL", line.sctp._local_verification_tag, 131_072, 65_535, 65_535, line.sctp._local_tsn)
    line.sctp._remote_verification_tag, tag = 0, line.sctp._remote_verification_tag
    await send_chunk(line, 1, init)
    line.sctp._remote_verification_tag = tag


GOES_ON: tuple[Attack, ...] = (
    commands_that_are_none,
    a_parameter_of_no_length,
    an_acknowledgement_of_everything_often,
    acknowledgements_that_lie,
    chunks_far_ahead,
    the_middle_of_a_message_without_end,
    chunks_of_every_kind,
    noise_below_the_channels,
    openings_that_cannot_be_read,
    a_channel_that_is_opened_twice,
    channels_of_every_label,
    three_thousand_channels,
    a_leap_over_three_hundred_streams,
    resets_of_what_is_not_there,
    a_flood_of_heartbeats,
    a_second_init,
)


@pytest.mark.parametrize("attack", GOES_ON, ids=lambda attack: attack.__name__)
async def test_the_call_and_its_channel_go_on(house: House, attack: Attack) -> None:
    async with Line.open(house) as line:
        await attack(line)
        await line.still_serves()


# The channel is gone, and the next one is used


async def a_message_of_five_mebibytes(line: Line) -> None:  # G12
    line.sctp._remote_max_message_size = 0
    line.caller.channel.send("x" * (5 << 20))


async def text_that_is_none(line: Line) -> None:
    await line.sctp._send(line.caller.channel.id, STRING, b"\xff\xfe")


async def a_channel_that_the_caller_closes(line: Line) -> None:
    line.caller.channel.close()


CLOSES_THE_CHANNEL: tuple[Attack, ...] = (
    a_message_of_five_mebibytes,
    text_that_is_none,
    a_channel_that_the_caller_closes,
)


@pytest.mark.parametrize("attack", CLOSES_THE_CHANNEL, ids=lambda attack: attack.__name__)
async def test_the_call_goes_on_with_the_next_channel(house: House, attack: Attack) -> None:
    async with Line.open(house) as line:
        closed = asyncio.Event()
        line.caller.channel.on("close", closed.set)
        await attack(line)
        await asyncio.wait_for(closed.wait(), 10)  # SCTP takes its time where datagrams are lost
        await line.reopen()
        await line.still_serves()


async def test_a_flood_of_commands_costs_the_channel_at_most(house: House) -> None:
    async with Line.open(house) as line:
        for number in range(2_000):
            if line.caller.channel.readyState == "open":
                line.caller.channel.send(json.dumps({"type": "nothing", "id": number}))
                await line.send(sound("zulu")[0])
        await line.is_still_heard()


# The association is gone by the caller's own doing


async def an_abort(line: Line) -> None:
    await send_chunk(line, 6, b"")


async def a_shutdown(line: Line) -> None:
    await send_chunk(line, 7, struct.pack("!L", line.sctp._last_received_tsn))
    await send_chunk(line, 14, b"")


async def a_leap_to_the_end_of_the_numbers(line: Line) -> None:
    await send_chunk(line, 192, struct.pack("!L", (line.sctp._local_tsn + 2**31 - 2) % 2**32))


@pytest.mark.parametrize(
    "attack", [an_abort, a_shutdown, a_leap_to_the_end_of_the_numbers], ids=lambda attack: attack.__name__
)
async def test_who_ends_the_association_is_still_heard(house: House, attack: Attack) -> None:
    async with Line.open(house) as line:
        await attack(line)
        await line.is_still_heard()


async def test_who_ends_dtls_has_hung_up_and_is_told_so(open_house: OpenHouse) -> None:
    house = await open_house(resume_grace=0.2)
    async with Line.open(house) as line:
        await line.dtls.stop()
        assert await line.reason() == "lost"


# A caller that takes nothing


async def test_a_caller_that_acknowledges_nothing_is_a_slow_reader_and_no_memory() -> None:  # G12
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        inside: Any = caller.connection.sctp
        inside._handle_data = ignore
        with pytest.raises(SlowReader):
            await tell_much(peer)
        assert peer.waiting <= LONGEST_WAITING
        await asyncio.wait_for(peer.close(), 5)


async def tell_much(peer: Peer) -> None:
    for _ in range(50_000_000 // 10_000):
        peer.send("x" * 10_000)
        await asyncio.sleep(0)


async def ignore(data: bytes) -> None:
    """What a client does that is no client."""
