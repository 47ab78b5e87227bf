"""RTCP that a caller should not send. After each, a word that is said is still told."""

import asyncio
import contextlib
import random
import struct
from collections.abc import Awaitable, Callable

import pylibsrtp
import pytest

from tests.attacks.line import Line, sound
from tests.media.caller import rtp
from tests.signaling.house import House

SENDER, RECEIVER, DESCRIPTION, BYE, APPLICATION, TRANSPORT, PAYLOAD, EXTENDED = range(200, 208)

Attack = Callable[[Line], Awaitable[None]]


def rtcp(kind: int, body: bytes, count: int = 0, words: int | None = None) -> bytes:
    """One RTCP packet; `words` is its length as it is told, when that is not the true one."""
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4 if words is None else words) + body


def sender_report(ssrc: int, ntp: int, timestamp: int, blocks: int = 0) -> bytes:
    body = struct.pack("!LQLLL", ssrc, ntp, timestamp, 2**32 - 1, 2**32 - 1)
    return rtcp(SENDER, body + b"\xff" * 24 * blocks, count=blocks)


async def a_goodbye_and_then_more(line: Line) -> None:  # G9
    await line.raw(rtcp(BYE, struct.pack("!L", line.ssrc), count=1))


async def a_goodbye_and_then_another_sender(line: Line) -> None:  # G9
    await line.raw(rtcp(BYE, struct.pack("!L", line.ssrc), count=1))
    line.ssrc, line.seq, line.timestamp = 4_321, 60_000, 99


async def a_goodbye_from_everybody(line: Line) -> None:  # G9
    for first in range(0, 310, 31):
        await line.raw(rtcp(BYE, struct.pack("!31L", *range(1_220 + first, 1_251 + first)), count=31))


async def goodbyes_of_three_hundred_senders(line: Line) -> None:  # G9, G10
    for ssrc in range(300):
        await line.raw(rtp(1, 0, sound("zulu")[0], ssrc=ssrc))
        await line.raw(rtcp(BYE, struct.pack("!L", ssrc), count=1))


async def a_goodbye_without_its_sources(line: Line) -> None:
    await line.raw(rtcp(BYE, struct.pack("!L", line.ssrc), count=31))
    await line.raw(rtcp(BYE, struct.pack("!L", line.ssrc)))


async def noise(line: Line) -> None:
    chance = random.Random(9)
    for _ in range(300):
        head = struct.pack("!BB", 0x80 | chance.getrandbits(6), chance.randint(192, 223))
        with contextlib.suppress(pylibsrtp.Error):  # on the caller's side, it reads the length too
            await line.raw(head + chance.randbytes(6 + chance.randint(0, 200)))


async def clocks_that_cannot_be(line: Line) -> None:
    for ntp in (0, 1, 2**64 - 1, 2**63, 1 << 32):
        for timestamp in (0, 2**31, 2**32 - 1):
            await line.raw(sender_report(line.ssrc, ntp, timestamp))


async def clocks_that_run_backward(line: Line) -> None:
    for second in range(200, 0, -1):
        await line.raw(sender_report(line.ssrc, second << 32, second * 48_000))


async def reports_about_everybody(line: Line) -> None:
    await line.raw(sender_report(line.ssrc, 1 << 33, 0, blocks=31))
    await line.raw(rtcp(RECEIVER, struct.pack("!L", 1) + b"\x80" * 24 * 31, count=31))


async def reports_of_three_thousand_senders(line: Line) -> None:
    for ssrc in range(3_000):
        await line.raw(sender_report(ssrc, 1 << 33, 0))


async def lengths_that_lie(line: Line) -> None:
    for kind in range(SENDER, EXTENDED + 1):
        for words in (0, 1, 5, 6, 7, 255, 65_535):
            await line.raw(rtcp(kind, bytes(24), count=1, words=words))


async def padding_that_lies(line: Line) -> None:
    for last in (0, 1, 3, 4, 200, 255):
        packet = rtcp(RECEIVER, struct.pack("!L", 1) + bytes(3) + bytes([last]))
        await line.raw(bytes([packet[0] | 0x20]) + packet[1:])


async def names_of_255_letters(line: Line) -> None:
    chunk = struct.pack("!L", line.ssrc) + b"\x01\xff" + b"n" * 255 + b"\x00" * 3
    await line.raw(rtcp(DESCRIPTION, chunk * 4, count=4))
    await line.raw(rtcp(DESCRIPTION, chunk[:-100], count=31))


async def feedback_for_what_we_never_sent(line: Line) -> None:
    body = struct.pack("!LL", 1, line.ssrc)
    for format in range(32):
        await line.raw(rtcp(TRANSPORT, body + b"\xff" * 400, count=format))
        await line.raw(rtcp(PAYLOAD, body + b"REMB" + b"\xff" * 40, count=format))
    for kind in (APPLICATION, EXTENDED):
        await line.raw(rtcp(kind, body + bytes(64)))


async def a_flood_of_five_thousand(line: Line) -> None:
    for index in range(5_000):
        await line.raw(sender_report(line.ssrc, index << 32, index))
        if index % 200 == 0:
            await asyncio.sleep(0)


async def the_same_encrypted_report_again(line: Line) -> None:
    protected = line.dtls._tx_srtp.protect_rtcp(sender_report(line.ssrc, 1 << 33, 0))
    for _ in range(200):
        await line.datagram(protected)


ATTACKS: tuple[Attack, ...] = (
    a_goodbye_and_then_more,
    a_goodbye_and_then_another_sender,
    a_goodbye_from_everybody,
    goodbyes_of_three_hundred_senders,
    a_goodbye_without_its_sources,
    noise,
    clocks_that_cannot_be,
    clocks_that_run_backward,
    reports_about_everybody,
    reports_of_three_thousand_senders,
    lengths_that_lie,
    padding_that_lies,
    names_of_255_letters,
    feedback_for_what_we_never_sent,
    a_flood_of_five_thousand,
    the_same_encrypted_report_again,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_the_call_goes_on(house: House, attack: Attack) -> None:
    async with Line.open(house) as line:
        await attack(line)
        await line.still_serves()
