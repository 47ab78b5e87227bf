"""RTP that a caller should not send. After each, a word that is said is still told: nobody is connected and deaf."""

import asyncio
import contextlib
import random
import struct
from collections.abc import Awaitable, Callable, Iterable

import pylibsrtp
import pytest

from media.red import Block
from tests.attacks.line import EVENT_8, EVENT_48, RED, Line, pcm, sound
from tests.media.caller import OPUS, opus_packets, rtp
from tests.media.redundancy import wrap
from tests.signaling.house import House

PCMU, PCMA, G722 = 0, 8, 9
COMFORT_NOISE = 13
VOICE = sound("zulu")

Attack = Callable[[Line], Awaitable[None]]


async def send_all(line: Line, payloads: Iterable[bytes], *, payload_type: int = OPUS, samples: int = 960) -> None:
    for payload in payloads:
        await line.send(payload, payload_type=payload_type, samples=samples)
        await asyncio.sleep(0)


def chance() -> random.Random:
    return random.Random(3)


# Payloads


async def one_empty_payload(line: Line) -> None:  # G7
    await send_all(line, [b""])


async def twenty_empty_payloads(line: Line) -> None:  # G7
    await send_all(line, [b""] * 20)


async def every_first_byte_alone(line: Line) -> None:
    await send_all(line, [bytes([first]) for first in range(256)])


async def noise_for_payloads(line: Line) -> None:
    await send_all(line, [chance().randbytes(1 + index % 300) for index in range(200)])


async def payloads_as_long_as_a_datagram(line: Line) -> None:
    await send_all(line, [chance().randbytes(1_300) for _ in range(50)])


async def frames_that_an_opus_packet_does_not_have(line: Line) -> None:
    await send_all(line, [b"\x03", b"\x03\x00", b"\x03\x3f", b"\x03\xff" + bytes(60), b"\xff\xff\xff", b"\x01\x00"])


async def two_minutes_in_two_bytes_a_packet(line: Line) -> None:
    await send_all(line, [b"\x1b\x02"] * 1_000, samples=5_760)


async def payload_types_that_were_not_agreed_on(line: Line) -> None:
    for payload_type in (1, 34, 63, 97, 100, 111, 127):
        await send_all(line, VOICE[:5], payload_type=payload_type)


async def payload_types_that_are_taken_for_reports(line: Line) -> None:
    for payload_type in range(64, 96):
        packet = rtp(line.seq, line.timestamp, VOICE[0], payload_type=payload_type, ssrc=line.ssrc)
        await line.datagram(packet + bytes(14))


async def comfort_noise(line: Line) -> None:  # G18
    for _ in range(30):
        await send_all(line, [b"\x40"], payload_type=COMFORT_NOISE)
        await send_all(line, VOICE[:1])


# Keys of a telephone


async def a_flood_of_digits(line: Line) -> None:  # G18
    for index in range(1_000):
        await line.put(struct.pack("!BBH", index % 16, 0x8A, index), line.seq, index * 7, payload_type=EVENT_8)
        line.seq += 1
    await asyncio.sleep(0)


async def digits_that_are_none(line: Line) -> None:
    payloads = [b"", b"\x01", b"\x01\x80", b"\x01\x80\x00", b"\xff\xff\xff\xff", b"\x10\x00\x00\x00" * 300]
    await send_all(line, payloads, payload_type=EVENT_8, samples=0)
    await send_all(line, payloads, payload_type=EVENT_48, samples=0)


async def a_digit_that_never_ends(line: Line) -> None:
    for duration in range(0, 65_536, 200):
        await line.put(struct.pack("!BBH", 5, 10, duration), line.seq, 77, payload_type=EVENT_48)
        line.seq += 1


# Headers


async def headers_that_lie(line: Line) -> None:
    voice = VOICE[0]
    fixed = struct.Struct("!BBHII")
    for first in (0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0x80 | 0x20):
        for tail in (b"", b"\x00" * 4, b"\xbe\xde\xff\xff", voice, voice[:-1] + b"\xff", voice[:-1] + b"\x00"):
            with_header = fixed.pack(first, OPUS, line.seq & 0xFFFF, line.timestamp, line.ssrc) + tail
            with contextlib.suppress(pylibsrtp.Error):  # on the caller's side, it reads the header too
                await line.raw(with_header)
            line.seq += 1


async def an_extension_of_a_kilobyte(line: Line) -> None:
    extension = struct.pack("!HH", 0xBEDE, 256) + bytes(1_024)
    header = struct.pack("!BBHII", 0x90, OPUS, line.seq, line.timestamp, line.ssrc)
    await line.raw(header + extension + VOICE[0])
    line.seq += 1


async def nothing_but_padding(line: Line) -> None:
    for _ in range(50):
        header = struct.pack("!BBHII", 0xA0, OPUS, line.seq & 0xFFFF, line.timestamp, line.ssrc)
        await line.raw(header + bytes(9) + b"\x0a")
        line.seq += 1


# Numbers


async def the_sequence_wraps(line: Line) -> None:
    line.ssrc, line.seq = 55, 65_530
    await send_all(line, VOICE)


async def the_clock_wraps(line: Line) -> None:
    line.ssrc, line.timestamp = 56, 2**32 - 5 * 960
    await send_all(line, VOICE)


async def the_clock_leaps_ahead(line: Line) -> None:  # G8
    line.timestamp += 2**31 - 1
    await send_all(line, VOICE)


async def the_clock_leaps_back(line: Line) -> None:  # G8
    line.timestamp -= 10_000_000
    await send_all(line, VOICE)


async def the_clock_is_noise(line: Line) -> None:  # G8
    random_clock = chance()
    for payload in VOICE * 3:
        await line.put(payload, line.seq, random_clock.getrandbits(32))
        line.seq += 1


async def the_clock_stands_still(line: Line) -> None:
    await send_all(line, VOICE * 3, samples=0)


async def the_sequence_is_noise(line: Line) -> None:
    numbers = list(range(line.seq, line.seq + 900))
    chance().shuffle(numbers)
    for seq in numbers[:200]:
        await line.put(VOICE[0], seq, line.timestamp)
    line.seq += 900


async def the_sequence_goes_back_by_fifty(line: Line) -> None:  # G18
    for back in (0, 50):
        for index, payload in enumerate(VOICE):
            await line.put(payload, line.seq + 100 - back + index, line.timestamp + index * 960)
    line.seq += 100 + len(VOICE)
    line.timestamp += 960 * len(VOICE)


async def the_sequence_leaps(line: Line) -> None:
    for leap in (100, 2_999, 3_001, 20_000, 30_000):  # libsrtp takes further ones for old
        line.seq += leap
        await send_all(line, VOICE[:4])


async def the_sequence_runs_backward(line: Line) -> None:
    for index in range(200):
        await line.put(VOICE[0], line.seq + 200 - index, line.timestamp + (200 - index) * 960)
    line.seq += 201
    line.timestamp += 201 * 960


async def every_packet_five_times(line: Line) -> None:
    for payload in VOICE:
        for _ in range(5):
            await line.put(payload, line.seq, line.timestamp)
        line.seq += 1
        line.timestamp += 960


async def every_second_packet_is_lost(line: Line) -> None:
    for payload in VOICE * 2:
        await line.send(payload)
        line.seq += 1
        line.timestamp += 960
        await asyncio.sleep(0)


async def a_burst_of_six_thousand(line: Line) -> None:
    for index in range(6_000):
        await line.send(VOICE[index % len(VOICE)])
        if index % 100 == 0:
            await asyncio.sleep(0)


async def packets_of_every_length(line: Line) -> None:
    for _ in range(3):
        for samples in (480, 960, 1_920, 2_880, 5_760):
            await send_all(line, opus_packets(pcm(["yankee"])[: 4 * 5_760], samples), samples=samples)


# Senders


async def the_sender_starts_anew(line: Line) -> None:  # G8
    line.ssrc, line.seq, line.timestamp = 99, 7, 12


async def three_hundred_senders(line: Line) -> None:  # G10
    for ssrc in range(300):
        await line.put(VOICE[0], 1, 0, ssrc=10_000 + ssrc)


async def two_thousand_senders_of_nothing(line: Line) -> None:
    """Each is authentic, so libsrtp would remember all of them, and look through them for every packet."""
    for ssrc in range(2_000):
        await line.put(b"", 1, 0, ssrc=50_000 + ssrc, payload_type=99)


async def two_senders_at_once(line: Line) -> None:
    for index, payload in enumerate(VOICE * 2):
        await line.put(payload, index, index * 960, ssrc=21 + index % 2)


async def senders_with_strange_numbers(line: Line) -> None:
    for ssrc in (0, 2**32 - 1):
        for index, payload in enumerate(VOICE[:6]):
            await line.put(payload, index, index * 960, ssrc=ssrc)


# Codecs


async def from_opus_to_telephone_and_back(line: Line) -> None:  # G18
    for payload_type in (PCMU, PCMA, G722):
        await send_all(line, [bytes(range(160))] * 10, payload_type=payload_type, samples=160)


async def another_codec_with_every_packet(line: Line) -> None:
    for index in range(100):
        payload_type = (OPUS, PCMU, PCMA, G722)[index % 4]
        await send_all(line, [VOICE[index % len(VOICE)]], payload_type=payload_type)


async def a_decoders_worst_case_of_telephone_audio(line: Line) -> None:
    await send_all(line, [b"\xff" * 1_300] * 40, payload_type=G722, samples=1_300)


# Redundancy


async def redundancy_that_cannot_be_read(line: Line) -> None:
    payloads = [b"", b"\x80", b"\xe0\x00", b"\xe0\x00\x00\x00", b"\xff" * 40, b"\xe0\x0f\x03\xff\x60x"]
    await send_all(line, payloads, payload_type=RED)


async def a_redundancy_bomb(line: Line) -> None:
    header = struct.pack("!I", 1 << 31 | OPUS << 24 | 960 << 10)
    await send_all(line, [header * 300 + bytes([OPUS]) + VOICE[0]] * 20, payload_type=RED)


async def redundancy_in_redundancy(line: Line) -> None:
    inner = wrap([Block(OPUS, 960, VOICE[0]), Block(OPUS, 0, VOICE[1])])
    payload = wrap([Block(RED, 960, inner), Block(RED, 0, inner)])
    await send_all(line, [payload] * 20, payload_type=RED)


async def redundancy_of_another_codec(line: Line) -> None:
    payload = wrap([Block(PCMU, 160, bytes(160)), Block(72, 1, b"x"), Block(0, 0, b""), Block(PCMU, 0, bytes(160))])
    await send_all(line, [payload] * 20, payload_type=RED)


async def redundancy_that_lies_about_time(line: Line) -> None:
    payload = wrap([Block(OPUS, 16_383, VOICE[0]), Block(OPUS, 1, VOICE[1]), Block(OPUS, 0, VOICE[2])])
    await send_all(line, [payload] * 50, payload_type=RED)


# SRTP


async def the_same_encrypted_packet_again(line: Line) -> None:
    protected = line.dtls._tx_srtp.protect(rtp(line.seq, line.timestamp, VOICE[0], ssrc=line.ssrc))
    line.seq += 1
    line.timestamp += 960
    for _ in range(500):
        await line.datagram(protected)


async def encryption_that_is_none(line: Line) -> None:
    for size in (1, 2, 3, 8, 11, 12, 13, 21, 22, 28, 100, 1_400, 1_599):
        await line.datagram(b"\x80" + chance().randbytes(size))
        await line.datagram(b"\x80\xc8" + chance().randbytes(size))
    await line.datagram(rtp(line.seq, line.timestamp, VOICE[0], ssrc=line.ssrc))


async def datagrams_that_are_nothing(line: Line) -> None:
    for size in (0, 1_601, 2_049, 9_000, 60_000):
        await line.datagram(b"\x80" * size)
    for first in range(256):
        await line.datagram(bytes([first]) + bytes(40))


ATTACKS: tuple[Attack, ...] = (
    one_empty_payload,
    twenty_empty_payloads,
    every_first_byte_alone,
    noise_for_payloads,
    payloads_as_long_as_a_datagram,
    frames_that_an_opus_packet_does_not_have,
    two_minutes_in_two_bytes_a_packet,
    payload_types_that_were_not_agreed_on,
    payload_types_that_are_taken_for_reports,
    comfort_noise,
    a_flood_of_digits,
    digits_that_are_none,
    a_digit_that_never_ends,
    headers_that_lie,
    an_extension_of_a_kilobyte,
    nothing_but_padding,
    the_sequence_wraps,
    the_clock_wraps,
    the_clock_leaps_ahead,
    the_clock_leaps_back,
    the_clock_is_noise,
    the_clock_stands_still,
    the_sequence_is_noise,
    the_sequence_goes_back_by_fifty,
    the_sequence_leaps,
    the_sequence_runs_backward,
    every_packet_five_times,
    every_second_packet_is_lost,
    a_burst_of_six_thousand,
    packets_of_every_length,
    the_sender_starts_anew,
    three_hundred_senders,
    two_thousand_senders_of_nothing,
    two_senders_at_once,
    senders_with_strange_numbers,
    from_opus_to_telephone_and_back,
    another_codec_with_every_packet,
    a_decoders_worst_case_of_telephone_audio,
    redundancy_that_cannot_be_read,
    a_redundancy_bomb,
    redundancy_in_redundancy,
    redundancy_of_another_codec,
    redundancy_that_lies_about_time,
    the_same_encrypted_packet_again,
    encryption_that_is_none,
    datagrams_that_are_nothing,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_the_call_goes_on(house: House, attack: Attack) -> None:
    async with Line.open(house) as line:
        await attack(line)
        await line.still_serves()
