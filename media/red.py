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
    headers, at = _headers(payload)
    blocks: list[Block] = []
    for header in headers:
        end = at + (header & 0x3FF)
        blocks.append(Block(header >> 24 & 0x7F, header >> 10 & 0x3FFF, payload[at:end]))
        at = end
    blocks.append(_newest(payload, headers, at))
    return blocks


def newest(arrival: Arrival) -> Arrival:
    """Only the present packet of those that a RED packet holds. Raises ValueError naming the fault."""
    ssrc, _, number, timestamp, payload = arrival
    headers, at = _headers(payload)
    for header in headers:
        at += header & 0x3FF
    block = _newest(payload, headers, at)
    return Arrival(ssrc, block.payload_type, number, timestamp, block.payload)


def unwrap(arrival: Arrival) -> list[Arrival]:
    """The packets that a RED packet holds, oldest first, the newest last. Raises ValueError naming the fault.

    A block tells its time and not its number: senders repeat the packets directly before, so they are counted back.
    """
    ssrc, _, number, timestamp, payload = arrival
    blocks = parse(payload)
    last = blocks.pop()
    packets = [
        Arrival(
            ssrc, block.payload_type, (number - back) & 0xFFFF, (timestamp - block.offset) & 0xFFFFFFFF, block.payload
        )
        for back, block in zip(range(len(blocks), 0, -1), blocks, strict=True)
        if block.offset and block.payload
    ]
    packets.append(Arrival(ssrc, last.payload_type, number, timestamp, last.payload))
    return packets


def _headers(payload: bytes) -> tuple[list[int], int]:
    """The headers of the older blocks, 32 bits each (the flag, payload type, offset, length), and where the first
    block begins; every block is as long as its header says."""
    headers: list[int] = []
    at = total = 0
    size = len(payload)
    while at < size and payload[at] & 0x80:
        if size < at + 4:
            raise ValueError("RED payload has a truncated block header")
        header = int.from_bytes(payload[at : at + 4])
        headers.append(header)
        total += header & 0x3FF
        at += 4
    if at >= size:
        raise ValueError("RED payload has no primary block")
    if len(headers) >= MOST_BLOCKS:
        raise ValueError("RED payload has too many blocks")
    if size < at + 1 + total:
        raise ValueError("RED payload has a truncated block")
    return headers, at + 1


def _newest(payload: bytes, headers: list[int], at: int) -> Block:
    return Block(payload[4 * len(headers)] & 0x7F, 0, payload[at:])
