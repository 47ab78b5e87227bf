import numpy as np
import pytest

from bench.media.ruler import ALGORITHM, packets, ruler
from bench.media.speech import encode
from media.codecs import PCM, Format
from media.frames import Frame
from media.rtp import Arrival
from media.track import Track
from tests.media.caller import OPUS
from tests.media.clock import FakeClock

RATE = 24_000
FRAME = 1_920


async def heard(seconds: float, skip: int = 0) -> PCM:
    """The ruler as a receiver gets it, through Opus, without the first `skip` packets."""
    track = Track(
        [Format(OPUS, "opus", 48_000)], rate=RATE, frame_samples=FRAME, backlog=2 * seconds, clock=FakeClock()
    )
    for index, payload in enumerate(encode(ruler(seconds), application="audio")[skip:]):
        track.receive(Arrival(1, OPUS, index, index * 960, payload))
    track.end()
    return np.concatenate([item.pcm async for item in track if isinstance(item, Frame)])


async def test_each_frame_tells_the_packet_that_completed_it() -> None:
    assert packets(await heard(10.0), FRAME) == list(range(3, 500, 4))


@pytest.mark.parametrize("skip", [4, 5, 7])
async def test_audio_that_is_missing_is_seen(skip: int) -> None:
    whole = (200 - skip) // 4  # frames; a last one is made whole with zeros
    assert packets(await heard(4.0, skip), FRAME)[:whole] == list(range(3 + skip, 200, 4))


def test_silence_is_no_packet() -> None:
    assert packets(np.zeros(2 * FRAME, np.float32), FRAME) == [-1, -1]


def test_the_delay_of_opus_is_taken_off() -> None:
    """Without a codec between them the reading is off by just that much: less than half a packet."""
    assert ALGORITHM < 0.010
    pcm = ruler(2.0, RATE).astype(np.float32) * np.float32(1 / 32_768)
    assert packets(pcm, FRAME) == list(range(3, 100, 4))
