"""Redundant audio (RFC 2198): a payload that repeats packets before it, so that a lost one is whole again one later."""

from dataclasses import dataclass, replace

from media.rtp import Arrival

MOST_BLOCKS = 10  # a sender repeats one or two packets; more is not audio


@dataclass(frozen=True, slots=True)
class Block:
    """One packet's payload, `offset` samples of the RTP clock before the newest one's; the newest has 0."""

    payload_type: int
    offset: int
    payload: bytes


def parse(payload: bytes) -> list[Block]:
    """Read the blocks, oldest first, the newest last (section 3). Raises ValueError naming the fault."""
    headers: list[tuple[int, int, int]] = []  # payload type, offset, length
    at = 0
    while at < len(payload) and payload[at] & 0x80:
        if len(payload) < at + 4:
            raise ValueError("RED payload has a truncated block header")
        word = int.from_bytes(payload[at : at + 4])
        headers.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x3FF))
        at += 4
    if at >= len(payload):
        raise ValueError("RED payload has no primary block")
    if len(headers) >= MOST_BLOCKS:
        raise ValueError("RED payload has too many blocks")
    newest = payload[at]
    at += 1
    blocks: list[Block] = []
    for payload_type, offset, length in headers:
        if len(payload) < at + length:
            raise ValueError("RED payload has a truncated block")
        blocks.append(Block(payload_type, offset, payload[at : at + length]))
        at += length
    return [*blocks, Block(newest & 0x7F, 0, payload[at:])]


def unwrap(arrival: Arrival) -> list[Arrival]:
    """The packets that a RED packet holds, oldest first, the newest last. Raises ValueError naming the fault.

    A block tells its time and not its number: senders repeat the packets directly before, so they are counted back.
    """
    *older, newest = parse(arrival.payload)
    packets = [
        replace(
            arrival,
            payload_type=block.payload_type,
            sequence_number=(arrival.sequence_number - back) & 0xFFFF,
            timestamp=(arrival.timestamp - block.offset) & 0xFFFFFFFF,
            payload=block.payload,
        )
        for back, block in zip(range(len(older), 0, -1), older, strict=True)
        if block.offset and block.payload
    ]
    return [*packets, replace(arrival, payload_type=newest.payload_type, payload=newest.payload)]
