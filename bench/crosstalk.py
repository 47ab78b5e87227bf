"""Ten sockets at once, each with a clip of its own: does everybody get their own words, and as those of the file?

    python -m bench.crosstalk [--sockets 10]

The recordings of Moonshine's wheel are cut at their quietest moments into as many clips as there are sockets, which are
all spoken at once, in real time, in the languages of three doors. More sockets than the machine was measured for are
served late, and lose nothing by it.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp
import jiwer
import numpy as np

from bench import save
from bench.calls import server
from bench.capacity.speakers import TONGUES, Script, Take, speak
from bench.capacity.words import Expected
from bench.moonshine import CLIPS, plain, recording
from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE
from engine.events import Word, WordEnd
from engine.listening import Listener
from engine.moonshine import MoonshineEars, load_ears, one_thread_each

CLOSE = 0.05  # word error rate against the file run
NEAR = 1.5  # seconds around where a cut would be, in which the quietest moment is looked for
PATIENCE = 180.0  # seconds for the last words

Figures = dict[str, Any]


def pieces(sound: PCM, count: int) -> list[PCM]:
    """`count` pieces of about one length, cut where it is quietest."""
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    loudness = np.convolve(np.square(frames).mean(axis=1), np.ones(3), "same")
    near = round(NEAR * SAMPLE_RATE / FRAME_SAMPLES)
    cuts = []
    for number in range(1, count):
        first = round(number * len(frames) / count) - near
        cuts.append((first + int(loudness[first : first + 2 * near].argmin())) * FRAME_SAMPLES)
    return np.split(sound, cuts)


def file_run(ears: MoonshineEars, pcm: PCM) -> Script:
    """A clip, with the words of a recognizer that has it whole."""
    listener = Listener(ears)
    events = listener.hear(pcm) + listener.finish()
    texts = [event.text for event in events if isinstance(event, Word)]
    stops = [event.stop for event in events if isinstance(event, WordEnd)]
    return Script(pcm, [Expected(text, stop) for text, stop in zip(texts, stops, strict=True)])


def scripts(count: int) -> list[Script]:
    """So many clips."""
    one_thread_each()
    [ears] = load_ears(1)
    found = [file_run(ears, pcm) for pcm in pieces(np.concatenate([recording(name) for name in CLIPS]), count)]
    ears.close()
    return found


def errors(script: Script, take: Take) -> float:
    """Of what came, against the file run of a clip."""
    said, came = (plain(" ".join(word.text for word in words)) for words in (script.words, take.heard))
    return float(jiwer.wer(said, came))


def judged(clips: Sequence[Script], takes: Sequence[Take]) -> Figures:
    """How near each is to its own clip, and how far from the nearest of the others."""
    own = [errors(clip, take) for clip, take in zip(clips, takes, strict=True)]
    others = [min(errors(clip, take) for clip in clips if clip is not take.script) for take in takes]
    return {
        "sockets": len(takes),
        "seconds_each": [round(clip.seconds, 1) for clip in clips],
        "words": [len(clip.words) for clip in clips],
        "wer_to_file": [round(rate, 3) for rate in own],
        "wer_to_nearest_other": [round(rate, 3) for rate in others],
        "lost_on_the_way": sum(take.lost for take in takes),
        "not_finished": sum(take.code != 1000 for take in takes),
    }


def missed(figures: Figures) -> list[str]:
    """The goals that were not reached, as sentences."""
    goals = {
        f"a socket is farther than {CLOSE} from its file run": max(figures["wer_to_file"]) <= CLOSE,
        "a socket was told somebody else's words": min(figures["wer_to_nearest_other"]) > CLOSE,
        "words were lost on the way": figures["lost_on_the_way"] == 0,
        "sessions did not end as they should": figures["not_finished"] == 0,
    }
    return [sentence for sentence, reached in goals.items() if not reached]


async def run(sockets: int) -> Figures:
    """All of them at once."""
    clips = scripts(sockets)
    limits = aiohttp.ClientTimeout(None, sock_connect=10)
    async with (
        server("moonshine", "--capacity", str(sockets)) as (url, _),
        aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        takes = await asyncio.gather(
            *(speak(http, url, TONGUES[number % len(TONGUES)], clip, PATIENCE) for number, clip in enumerate(clips))
        )
    return judged(clips, takes)


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
