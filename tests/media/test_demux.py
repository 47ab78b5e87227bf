"""Which datagrams are whose, by their first bytes."""

import pytest

from media.compat.demux import is_rtp, is_stun


@pytest.mark.parametrize(
    ("kind", "first", "stun", "media"),
    [
        ("STUN", range(4), True, False),
        ("ZRTP", range(16, 20), False, False),
        ("DTLS", range(20, 64), False, False),
        ("TURN channels", range(64, 80), False, False),
        ("media", range(128, 192), False, True),
        ("unassigned", [*range(4, 16), *range(80, 128), *range(192, 256)], False, False),
    ],
)
def test_the_first_byte_tells(kind: str, first: list[int], stun: bool, media: bool) -> None:
    for byte in first:
        data = bytes([byte, 111])
        assert (is_stun(data), is_rtp(data)) == (stun, media), byte


def test_the_second_byte_tells_rtcp() -> None:
    assert [second for second in range(256) if not is_rtp(bytes([128, second]))] == list(range(192, 224))


@pytest.mark.parametrize("first", [0, 20, 128])
def test_a_lone_byte_is_no_rtp(first: int) -> None:
    assert not is_rtp(bytes([first]))
