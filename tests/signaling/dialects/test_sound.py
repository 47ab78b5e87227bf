import numpy as np
import pytest

from engine.base import s16_from_pcm
from engine.scripted import tone
from signaling.dialects.sound import Sound
from signaling.errors import BadAudio, wire_error

ALPHA = tone("alpha")


def test_float32_is_heard_as_it_is() -> None:
    [audio] = Sound().float32(ALPHA.astype("<f4").tobytes())
    assert audio.pcm.dtype == np.float32
    np.testing.assert_array_equal(audio.pcm, ALPHA)


def test_16_bit_samples_are_heard_as_floats() -> None:
    [audio] = Sound().s16(s16_from_pcm(ALPHA))
    np.testing.assert_allclose(audio.pcm, ALPHA, atol=1 / 32_768)


def test_the_audio_begins_with_the_first_sample() -> None:
    sound = Sound()
    starts = [audio.start for data in (b"", bytes(96_000), bytes(4), b"", bytes(4)) for audio in sound.float32(data)]
    assert starts == [0.0, 1.0, 1.0 + 1 / 24_000]


def test_every_kind_of_message_counts_as_the_same_audio() -> None:
    sound = Sound()
    sound.float32(bytes(4 * 12_000))
    sound.floats(np.zeros(12_000, np.float32))
    [audio] = sound.s16(bytes(2))
    assert audio.start == 1.0


def test_an_empty_message_is_no_audio() -> None:
    assert Sound().float32(b"") == Sound().s16(b"") == Sound().floats(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7_679])
def test_a_message_that_ends_inside_a_float_is_refused(size: int) -> None:
    with pytest.raises(BadAudio, match=r"multiples of 4 bytes.*has \d+.*format=s16"):
        Sound().float32(bytes(size))


def test_an_odd_number_of_bytes_is_not_16_bit() -> None:
    with pytest.raises(BadAudio, match="even number of bytes"):
        Sound().s16(bytes(3_841))


@pytest.mark.parametrize("sample", [float("nan"), float("inf"), float("-inf")])
def test_samples_that_are_no_numbers_are_refused(sample: float) -> None:
    pcm = np.zeros(1_920, np.float32)
    pcm[700] = sample
    with pytest.raises(BadAudio, match="NaN or infinite"):
        Sound().floats(pcm)


def test_slightly_too_loud_is_clipped() -> None:
    [audio] = Sound().floats(np.array([1.5, -7.9, 0.5], np.float32))
    assert audio.pcm.tolist() == [1.0, -1.0, 0.5]


def test_integers_that_are_sent_as_floats_are_refused_with_the_remedy() -> None:
    with pytest.raises(BadAudio, match="divided by 32768"):
        Sound().floats(ALPHA * 32_767)
    with pytest.raises(BadAudio, match="format=s16"):
        Sound().float32(s16_from_pcm(ALPHA))


def test_what_is_refused_does_not_count() -> None:
    sound = Sound()
    with pytest.raises(BadAudio):
        sound.float32(bytes(3))
    assert sound.float32(bytes(4))[0].start == 0.0


def test_bad_audio_closes_a_socket_with_invalid_data() -> None:
    assert wire_error(BadAudio("x")).close == 1007  # RFC 6455, section 7.4.1
