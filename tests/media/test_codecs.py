"""The table of codecs, and how long a payload is."""

import pytest

from media.codecs import CODECS, Format, find, opus_samples


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"", 0),
        (b"\x78" + bytes(9), 960),  # CELT, 20 ms
        (b"\x79" + bytes(9), 1_920),  # two frames
        (b"\x7b\x03" + bytes(9), 2_880),  # three
        (b"\x7b", 0),  # a count that is missing
        (b"\x7b\x3f", 0),  # 63 frames are more than 120 ms
        (b"\x00", 480),  # SILK, 10 ms
        (b"\x18", 2_880),  # SILK, 60 ms
        (b"\x60", 480),  # hybrid, 10 ms
        (b"\x80", 120),  # CELT, 2.5 ms
    ],
)
def test_an_opus_packet_tells_its_length(payload: bytes, samples: int) -> None:
    assert opus_samples(payload) == samples


def test_a_codec_is_found_whatever_its_case() -> None:
    assert find("OPUS", 48_000) is CODECS["opus", 48_000]
    assert find("pcmu", 8_000) is find("PCMU", 8_000)
    assert find("opus", 8_000) is None


def test_what_is_no_codec_is_told_apart() -> None:
    digits, noise = Format(126, "telephone-event", 8_000), Format(13, "CN", 8_000)
    assert (digits.codec, digits.tells_digits, digits.is_noise) == (None, True, False)
    assert (noise.codec, noise.tells_digits, noise.is_noise) == (None, False, True)
