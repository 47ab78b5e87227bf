"""A file and a running server: the recording is spoken in a real call, as a browser would make it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.events import Event, Pause, Word, WordEnd
from media.caller import RATE
from media.codecs import PCM
from media.container import Limits, decoded
from offhook.call import Call, CallFailed, call
from offhook.hearing import lost
from offhook.progress import Track
from offhook.recordings import Source

LIMITS = Limits(seconds=2 * 3_600)  # it is held in memory, and a server ends calls earlier
LAST_WORDS = 30.0  # seconds for the server to end the call once everything was said


@dataclass(frozen=True, slots=True)
class Calling:
    """Files through calls to one server, sent at `pace` times real time. Each event is shown to `watch` as it comes."""

    url: str
    key: str
    pace: float
    watch: Callable[[Mapping[str, Any]], None]

    async def events(self, source: Source, track: Track) -> AsyncGenerator[Event, None]:
        """The words and pauses of a file; `track` is told how far it is. Raises MediaError for what cannot be decoded,
        OSError for what cannot be opened, and CallFailed."""
        pcm, track.lost = await _read(source)
        track.duration = len(pcm) / RATE
        missed = 0.0
        async with call(self.url, pcm, pace=self.pace, key=self.key) as live, aclosing(_told(live)) as told:
            async for fields in told:
                self.watch(fields)
                track.reach(live.speech.position)
                missed += fields["stop"] - fields["start"] if fields["type"] == "missed" else 0.0
                if (event := _event(fields)) is not None:
                    yield event
        if missed:
            track.lost = f"{missed:.1f} s of it did not reach the server in time: send it slower, with a lower --rtf"
        track.end(len(pcm) / RATE)


async def _read(source: Source) -> tuple[PCM, str]:
    """The whole of it, at the rate of calls, and what of it cannot be had."""
    async with decoded(source, RATE, LIMITS) as audio:
        pcm = np.concatenate([piece async for piece in audio])
        return pcm, lost(audio, len(pcm) / RATE)


async def _told(live: Call) -> AsyncGenerator[dict[str, Any], None]:
    """Everything that the server tells, asked for the last words when all was said. Raises CallFailed."""
    finishing = asyncio.create_task(_finish(live))
    try:
        async for fields in live.events():
            yield fields
            if fields["type"] == "ended":
                _check_end(fields["reason"])
                return
        raise CallFailed("The call was lost before its end.")
    finally:
        finishing.cancel()
        await asyncio.gather(finishing, return_exceptions=True)


async def _finish(live: Call) -> None:
    """When everything was said, ask for the last words; hang up when they do not come."""
    await live.finish()
    await asyncio.sleep(LAST_WORDS)
    await live.close()


def _check_end(reason: str) -> None:
    if reason != "finished":
        raise CallFailed(f"The server ended the call before its end ({reason}): try again.")


def _event(fields: Mapping[str, Any]) -> Event | None:
    """What the server tells, as an engine would."""
    match fields["type"]:
        case "word":
            return Word(fields["text"], fields["start"])
        case "word_end":
            return WordEnd(fields["stop"])
        case "pause":
            return Pause(fields["at"])
        case _:
            return None
