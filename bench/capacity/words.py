"""Which words of a recording came back, and how late. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles

import jiwer

from engine.agreement import normalised
from engine.base import FRAME_SAMPLES, SAMPLE_RATE

FRAME = FRAME_SAMPLES / SAMPLE_RATE  # seconds of audio in a message


@dataclass(frozen=True, slots=True)
class Expected:
    """A word of the file run; `stop`: seconds of the audio at which it ends."""

    text: str
    stop: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A word as it came, by the clock of the caller."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Words:
    """What one caller's words say. `latencies`: seconds, from when the message with the end of a word was sent."""

    expected: int
    errors: int  # against the file run: other, missing and additional words
    missing: int
    latencies: Sequence[float]


def compare(expected: Sequence[Expected], heard: Sequence[Heard], sent: Sequence[float]) -> Words:
    """`sent`: when each message of audio was sent, by the clock of `heard`."""
    last = len(sent) - 1
    ours, theirs = [normalised(word.text) for word in expected], [normalised(word.text) for word in heard]
    compared = jiwer.process_words(" ".join(ours), " ".join(theirs))
    latencies = [
        heard[chunk.hyp_start_idx + index].at - sent[min(int(expected[chunk.ref_start_idx + index].stop / FRAME), last)]
        for chunk in compared.alignments[0]
        if chunk.type == "equal"
        for index in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    errors = compared.substitutions + compared.deletions + compared.insertions
    return Words(len(ours), errors, compared.deletions, latencies)


def summary(takes: Iterable[Words]) -> dict[str, float]:
    """All callers' words together. Latencies in seconds."""
    takes = list(takes)
    latencies = [latency for words in takes for latency in words.latencies]
    cuts = quantiles(latencies, n=100, method="inclusive")
    expected = sum(words.expected for words in takes)
    return {
        "words": expected,
        "wer_to_file": round(sum(words.errors for words in takes) / expected, 4),
        "missing_to_file": round(sum(words.missing for words in takes) / expected, 4),
        "latency_p50": round(cuts[49], 3),
        "latency_p95": round(cuts[94], 3),
        "latency_worst": round(max(latencies), 3),
    }
