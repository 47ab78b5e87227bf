"""Redundant audio (RFC 2198): a payload that repeats packets before it, so that a lost one is whole again one later."""

from typing import NamedTuple

from media.rtp import Arrival

MOST_BLOCKS = 10  # a sender repeats one or two packets; more is not audio


class Block(NamedTuple):
    """One packet's payload, `offset` samples of the RTP clock before the newest one's; the newest has 0."""

    payload_type: int
    offset: int
    payload: bytes


def parse(payload: bytes) -> list[Block]:
    """Read the blocks, oldest first, the newest last (section 3). Raises ValueError naming the fault."""
    headers: list[int] = []  # of 32 bits: the flag, payload type, offset, length
    at = 0
    while at < len(payload) and payload[at] & 0x80:
        if len(payload) < at + 4:
            raise ValueError("RED payload has a truncated block header")
        headers.append(int.from_bytes(payload[at : at + 4]))
        at += 4
    if at >= len(payload):
        raise ValueError("RED payload has no primary block")
    if len(headers) >= MOST_BLOCKS:
        raise ValueError("RED payload has too many blocks")
    newest = payload[at] & 0x7F
    at += 1
    blocks: list[Block] = []
    for header in headers:
        end = at + (header & 0x3FF)
        if len(payload) < end:
            raise ValueError("RED payload has a truncated block")
        blocks.append(Block(header >> 24 & 0x7F, header >> 10 & 0x3FFF, payload[at:end]))
        at = end
    blocks.append(Block(newest, 0, payload[at:]))
    return blocks


def unwrap(arrival: Arrival) -> list[Arrival]:
    """The packets that a RED packet holds, oldest first, the newest last. Raises ValueError naming the fault.

    A block tells its time and not its number: senders repeat the packets directly before, so they are counted back.
    """
    ssrc, _, number, timestamp, payload = arrival
    blocks = parse(payload)
    newest = blocks.pop()
    packets = [
        Arrival(
            ssrc, block.payload_type, (number - back) & 0xFFFF, (timestamp - block.offset) & 0xFFFFFFFF, block.payload
        )
        for back, block in zip(range(len(blocks), 0, -1), blocks, strict=True)
        if block.offset and block.payload
    ]
    packets.append(Arrival(ssrc, newest.payload_type, number, timestamp, newest.payload))
    return packets
