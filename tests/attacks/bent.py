"""Bytes bent by chance, the same for the same seed."""

import random
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 2, 3, 4, 7, 12, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONGEST = 1_500  # bytes, as a datagram


def bent(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to six faults in it; now and then with none, or nothing but noise."""
    data = bytearray(chance.choice(seeds))
    if chance.random() < 0.02:
        return chance.randbytes(chance.randrange(LONGEST))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        chance.choice(FAULTS)(chance, data, seeds)
    return bytes(data[:LONGEST])


def _flip(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _number(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    size = chance.choice((1, 2, 2, 4))
    at = chance.randrange(len(data) + 1)
    data[at : at + size] = (chance.choice(NUMBERS) % 256**size).to_bytes(size)


def _cut(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _drop(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.choice((1, 2, 4, 8))]


def _insert(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 20)))


def _repeat(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    part = data[at : at + chance.choice((1, 4, 8, 32))]
    data[at:at] = part * chance.choice((1, 3, 60))


def _splice(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = chance.choice(seeds)
    data[chance.randrange(len(data) + 1) :] = other[chance.randrange(len(other) + 1) :]


FAULTS: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _cut,
    _drop,
    _insert,
    _repeat,
    _splice,
)
