"""What loss does to the words: the same clips through each receiver, heard by the same recognizer."""

import asyncio
import itertools
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import jiwer

from bench.media.generator import Script
from bench.media.network import journeys
from bench.media.speech import CLIPS, Sender, clip_samples, encode
from bench.media.trial import receiving
from bench.moonshine import plain, whole
from engine.moonshine import load_ears, one_thread_each
from media.codecs import PCM
from media.impair import Impairment

LOSSES = (0.0, 0.05, 0.10, 0.20)


@dataclass(frozen=True, slots=True)
class Cell:
    """One call's place in the table."""

    loss: float
    seed: int
    clip: int


async def measure(name: str, sender: Sender, seeds: Sequence[int], *, redundant: bool) -> dict[str, float]:
    """Word error rates by the percentage of lost packets, pooled over clips and seeds; all calls at once."""
    spoken = [encode(clip_samples(clip), sender) for clip in CLIPS]
    cells = _cells(seeds)
    async with receiving(name) as receiver:
        await receiver.connect(len(cells), keep=True)
        await receiver.play([_script(spoken[cell.clip], cell, redundant=redundant) for cell in cells])
        outcome = await receiver.finish()
    return await _rates(cells, [call.pcm for call in outcome.calls])


def _cells(seeds: Sequence[int]) -> list[Cell]:
    """Every call; without loss one seed is as good as another."""
    clips = range(len(CLIPS))
    lossy = [Cell(*place) for place in itertools.product((loss for loss in LOSSES if loss), seeds, clips)]
    return [Cell(0.0, seeds[0], clip) for clip in clips] + lossy


def _script(payloads: Sequence[bytes], cell: Cell, *, redundant: bool) -> Script:
    network = journeys(len(payloads), Impairment(loss=cell.loss), cell.seed * 1_000 + cell.clip)
    return Script(payloads, network, redundant)


async def _rates(cells: Sequence[Cell], audio: Sequence[PCM]) -> dict[str, float]:
    """Recognised by as many processes as there are cores, since nothing is being measured now."""
    loop = asyncio.get_running_loop()
    halves = [audio[0::2], audio[1::2]]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        even, odd = await asyncio.gather(*(loop.run_in_executor(pool, transcribe, half) for half in halves))
    texts = [text for pair in itertools.zip_longest(even, odd) for text in pair if text is not None]
    return {
        f"{loss * 100:.0f}": pooled(
            [(CLIPS[cell.clip].text, text) for cell, text in zip(cells, texts, strict=True) if cell.loss == loss]
        )
        for loss in LOSSES
    }


def transcribe(audio: Sequence[PCM]) -> list[str]:
    """The words of each piece, in a process of its own."""
    one_thread_each()
    [ears] = load_ears(1)
    return [whole(ears, pcm) for pcm in audio]


def pooled(pairs: Sequence[tuple[str, str]]) -> float:
    """The word error rate of many pairs of reference and hypothesis together: all errors by all words."""
    references, hypotheses = zip(*pairs, strict=True)
    return round(float(jiwer.wer(list(map(plain, references)), list(map(plain, hypotheses)))), 4)
