"""Callers that are no browsers: werift, with codecs and packets that browsers do not send."""

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from e2e.conftest import ServerFactory
from e2e.server import Server
from engine.base import PCM, SAMPLE_RATE
from engine.scripted import WORDS, say

SENDER = Path(__file__).parent / "whip.js"
SAID = WORDS[:6]
FIRST = 2**32 - 24_000  # the first timestamp: it wraps in the middle of a word
TOLD = 15  # seconds for the next event to come


@dataclass(frozen=True, slots=True)
class Codec:
    """What is sent, and how FFmpeg makes it."""

    name: str
    payload_type: int
    encoder: str
    rate: int  # Hz of the sound
    milliseconds: int  # of each packet
    clock_rate: int  # Hz of its timestamps
    quiet: bool = False  # nothing is sent while nothing is said

    @property
    def parameters(self) -> dict[str, object]:
        """As an offer names it."""
        channels = 2 if self.name == "opus" else 1
        names = {"mimeType": f"audio/{self.name}", "clockRate": self.clock_rate}
        return {**names, "channels": channels, "payloadType": self.payload_type}

    def packets(self, pcm: PCM) -> list[tuple[int, int, str]]:
        """When each packet is sent (ms), its timestamp, and its payload. `pcm`: mono at 24 kHz."""
        size = self.rate * self.milliseconds // 1_000
        samples = resampled(pcm, self.rate)
        samples = np.pad(samples, (0, -len(samples) % size))
        ticks = self.clock_rate * self.milliseconds // 1_000
        return [
            (number * self.milliseconds, (FIRST + number * ticks) % 2**32, base64.b64encode(payload).decode())
            for number, payload in enumerate(self._encoded(samples.reshape(-1, size)))
            if not (self.quiet and silent(samples, number * size, size))
        ]

    def _encoded(self, frames: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> Iterator[bytes]:
        encoder = av.CodecContext.create(self.encoder, "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = self.rate, "mono", "s16"
        if self.name == "opus":
            encoder.options = {"frame_duration": str(self.milliseconds)}
        for number, samples in enumerate(frames):
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = self.rate, number * len(samples), Fraction(1, self.rate)
            yield b"".join(bytes(packet) for packet in encoder.encode(frame))


CODECS = (
    Codec("PCMU", 0, "pcm_mulaw", 8_000, 20, 8_000),
    Codec("PCMA", 8, "pcm_alaw", 8_000, 60, 8_000),
    Codec("G722", 9, "g722", 16_000, 20, 8_000),  # its clock is 8 kHz by an old mistake (RFC 3551 section 4.5.2)
    Codec("opus", 111, "libopus", 48_000, 60, 48_000),
    Codec("opus", 111, "libopus", 48_000, 20, 48_000, quiet=True),
)


def resampled(pcm: PCM, rate: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """Mono s16 at another rate. The tones are far below half of each rate, so that lines between samples do."""
    times = np.arange(len(pcm) * rate // SAMPLE_RATE) / rate
    sound = np.interp(times, np.arange(len(pcm)) / SAMPLE_RATE, pcm)
    return (sound * 32_767).round().astype(np.int16)


def silent(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", start: int, size: int) -> bool:
    """Whether nothing is said in a packet, nor in the one before it."""
    return not samples[max(0, start - size) : start + size].any()


@contextmanager
def publishing(server: Server, codec: Codec, file: Path) -> "Iterator[subprocess.Popen[str]]":
    """A caller that says the words and stays."""
    file.write_text(json.dumps({"codec": codec.parameters, "packets": codec.packets(say(SAID))}))
    node = shutil.which("node")
    assert node, "the tests of other stacks need Node.js"
    command = (node, str(SENDER), f"{server.url}/whip", str(file))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.communicate(timeout=10)
    assert process.returncode == 0


def transcript(server: Server, resource: str, words: int) -> list[tuple[str, float]]:
    """The first words that are read of a session, and when each was said."""
    heard: list[tuple[str, float]] = []
    with urllib.request.urlopen(f"{server.url}{resource}/events", timeout=TOLD) as stream:
        for line in stream:
            if line.startswith(b"data:") and (event := json.loads(line[5:]))["type"] == "word":
                heard.append((event["text"], event["start"]))
                if len(heard) == words:
                    break
    return heard


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name}-{codec.milliseconds}-{codec.quiet:d}")
def test_another_stack_gets_its_transcript(server: ServerFactory, tmp_path: Path, codec: Codec) -> None:
    running = server()
    with publishing(running, codec, tmp_path / "packets.json") as caller:
        assert caller.stdout
        resource = caller.stdout.readline().strip()
        heard = transcript(running, resource, len(SAID))
    assert [word for word, _ in heard] == list(SAID)
    starts = [start for _, start in heard]
    assert starts == pytest.approx([0.56 * number for number in range(len(SAID))], abs=0.17)
