"""Ten sockets at once, each with a clip of its own: does everybody get their own words, and as good as the file's?

    python -m bench.crosstalk [--sockets 10]

The recordings of Moonshine's wheel are cut at their pauses into eleven pieces whose text is known. Each socket begins
with another one and says the next ones after it, all at once, in real time, in the languages of three doors. More
sockets than the machine was measured for are served late, and lose nothing by it.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import jiwer
import numpy as np

from bench import save
from bench.calls import server
from bench.capacity.speakers import BREATH, TONGUES, Script, Take, speak
from bench.media.speech import CLIPS
from bench.moonshine import plain, recording
from engine.base import PCM, SAMPLE_RATE
from engine.events import Word
from engine.listening import Listener
from engine.moonshine import MoonshineEars, load_ears, one_thread_each

CLOSE = 0.05  # word error rate above that of the file run
PIECES = 8  # of each socket's clip: about 45 s and 95 words
PATIENCE = 180.0  # seconds for the last words

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clip:
    """What one socket says; `file`: the words of a recognizer that has it whole."""

    pcm: PCM
    text: str
    file: str


def clips(count: int) -> list[Clip]:
    """So many."""
    one_thread_each()
    [ears] = load_ears(1)
    made = [clip(ears, first) for first in range(count)]
    ears.close()
    return made


def clip(ears: MoonshineEars, first: int) -> Clip:
    """The pieces from the one with this number on, with silence after each."""
    breath = np.zeros(round(BREATH * SAMPLE_RATE), np.float32)
    pieces = [CLIPS[number % len(CLIPS)] for number in range(first, first + PIECES)]
    sounds = [recording(it.recording)[round(it.start * SAMPLE_RATE) : round(it.stop * SAMPLE_RATE)] for it in pieces]
    pcm = np.concatenate([part for sound in sounds for part in (sound, breath)])
    listener = Listener(ears)
    events = listener.hear(pcm) + listener.finish()
    heard = (event.text for event in events if isinstance(event, Word))
    return Clip(pcm, plain(" ".join(piece.text for piece in pieces)), plain(" ".join(heard)))


def errors(truth: str, words: str) -> float:
    """The word error rate."""
    return round(float(jiwer.wer(truth, words)), 3)


def judged(said: Sequence[Clip], takes: Sequence[Take]) -> Figures:
    """How good each socket's words are beside its file run, and how near to what the others said."""
    texts = [plain(" ".join(word.text for word in take.heard)) for take in takes]
    return {
        "sockets": len(takes),
        "seconds": [round(each.pcm.size / SAMPLE_RATE, 1) for each in said],
        "words": [len(each.text.split()) for each in said],
        "wer_of_file": [errors(each.text, each.file) for each in said],
        "wer": [errors(each.text, text) for each, text in zip(said, texts, strict=True)],
        "wer_to_file": [errors(each.file, text) for each, text in zip(said, texts, strict=True)],
        "wer_to_nearest_other": [
            min(errors(other.text, text) for other in said if other is not each)
            for each, text in zip(said, texts, strict=True)
        ],
        "lost_on_the_way": sum(take.lost for take in takes),
        "not_finished": sum(take.code != 1000 for take in takes),
    }


def missed(figures: Figures) -> list[str]:
    """The goals that were not reached, as sentences."""
    pairs: Iterable[tuple[float, float]] = zip(figures["wer"], figures["wer_of_file"], strict=True)
    near: Iterable[tuple[float, float]] = zip(figures["wer"], figures["wer_to_nearest_other"], strict=True)
    goals = {
        f"a socket's errors are more than {CLOSE} above its file run's": all(
            live <= file + CLOSE for live, file in pairs
        ),
        "a socket's words are as near to what another one said": all(own < other for own, other in near),
        "words were lost on the way": figures["lost_on_the_way"] == 0,
        "sessions did not end as they should": figures["not_finished"] == 0,
    }
    return [sentence for sentence, reached in goals.items() if not reached]


async def run(sockets: int) -> Figures:
    """All of them at once."""
    said = clips(sockets)
    limits = aiohttp.ClientTimeout(None, sock_connect=10)
    async with (
        server("moonshine", "--capacity", str(sockets)) as (url, _),
        aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        calls = (
            speak(http, url, TONGUES[number % len(TONGUES)], Script(each.pcm, ()), PATIENCE)
            for number, each in enumerate(said)
        )
        return judged(said, await asyncio.gather(*calls))


def main() -> int:
    """Print and keep the figures; the number of goals that were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=10, help="at once [default: 10]")
    figures = asyncio.run(run(parser.parse_args().sockets))
    figures["missed"] = missed(figures)
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    save("crosstalk", figures)
    return len(figures["missed"])


if __name__ == "__main__":
    sys.exit(main())
