"""Offers bent by chance, the same for the same seed: for the tests, and by the hundred thousand for the bench."""

import random
from collections.abc import Callable

from tests.media.offers import ALL

TOKENS = ("", " ", ":", "/", "-1", "0", "9", "65536", "4294967296", "9" * 400, "٣", "\x00", "\udc80", "a" * 3_000)
LINES = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 0",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=audio 9 RTP/AVP 0",
    "m=",
    "a=",
    "a=mid:0",
    "a=group:BUNDLE",
    "a=candidate:1 1 udp 1 999.1.1.1 1 typ host",
    "a=candidate:1 1 udp 1 192.0.2.1 99999 typ host",
    "a=fmtp:111 minptime=x",
    "a=rtpmap:111 opus/48000/0",
    "a=rtpmap:200 opus/48000/2",
    "a=ssrc:x",
    "a=extmap:x y",
    "a=sctp-port:0",
    "a=max-message-size:x",
    "a=ice-lite",
    "a=bundle-only",
    "a=inactive",
    "a=setup:active",
    "a=setup:actpass:x",
    "c=IN IP4 x",
)


def mutated(chance: random.Random) -> str:
    """One of the real offers with one to six faults in it."""
    lines = chance.choice(ALL).splitlines()
    for _ in range(chance.randint(1, 6)):
        if lines:
            chance.choice(FAULTS)(chance, lines)
    return chance.choice(("\r\n", "\n", "\r", "\r\n\r\n")).join(lines) + chance.choice(("\r\n", ""))


def _drop(chance: random.Random, lines: list[str]) -> None:
    del lines[chance.randrange(len(lines))]


def _repeat(chance: random.Random, lines: list[str]) -> None:
    start = chance.randrange(len(lines))
    lines.extend(lines[start : start + chance.choice((1, 1, 5, 40))] * chance.choice((1, 2, 20)))


def _move(chance: random.Random, lines: list[str]) -> None:
    lines.insert(chance.randrange(len(lines)), lines.pop(chance.randrange(len(lines))))


def _cut(chance: random.Random, lines: list[str]) -> None:
    at = chance.randrange(len(lines))
    lines[at] = lines[at][: chance.randint(0, len(lines[at]))]


def _insert_line(chance: random.Random, lines: list[str]) -> None:
    lines.insert(chance.randint(0, len(lines)), chance.choice(LINES))


def _replace_word(chance: random.Random, lines: list[str]) -> None:
    at = chance.randrange(len(lines))
    words = lines[at].split(" ")
    words[chance.randrange(len(words))] = chance.choice(TOKENS)
    lines[at] = " ".join(words)


def _replace_character(chance: random.Random, lines: list[str]) -> None:
    at = chance.randrange(len(lines))
    place = chance.randint(0, len(lines[at]))
    lines[at] = lines[at][:place] + chr(chance.randrange(0x180)) + lines[at][place + chance.randint(0, 2) :]


def _swap_values(chance: random.Random, lines: list[str]) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    head, _, tail = lines[one].partition(":")
    lines[one] = head + ":" + lines[other].partition(":")[2] + tail[:3]


FAULTS: tuple[Callable[[random.Random, list[str]], None], ...] = (
    _drop,
    _repeat,
    _move,
    _cut,
    _insert_line,
    _replace_word,
    _replace_character,
    _swap_values,
)
