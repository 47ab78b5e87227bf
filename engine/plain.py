"""One caller's WebSocket to a plain moshi-server.

A plain moshi-server knows audio and markers only. Everything else is made of those: a flush is silence, with the times
after it corrected; what `clear` forgets is not told until a marker behind it has come back; `finish` is a marker that
silence pushes through the model's delay.

A moshi-server counts a marker's delay in steps of its whole batch, so with other callers there it may send the marker
back before it has heard enough of this one: the marker then waits for this stream's own steps.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from engine.base import FRAME_SAMPLES, PCM
from engine.errors import Unavailable
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.slots import MARK_PATIENCE
from engine.sockets import QUIET, Home, RemoteStream, Socket
from engine.timeline import Timeline
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt, Verb
from engine.wire import Reply, encode

DELAY = 6  # steps from a sound to its word, of the model that tells of its steps; the other says nothing until later
DOSE = 8  # frames of silence that flush such a delay
LARGE_DOSE = 16  # frames for the larger delay of a model that does not tell of its steps
SILENCE_LIMIT = 480  # frames without an answer: 38 s, what moshi-server's own clients send at the end
WARM_UP_STEPS = 12  # the pause probabilities mean nothing before
PAUSE_HEAD = 2  # the probability of a pause of two seconds, which moshi-server's clients go by


@dataclass(frozen=True, slots=True)
class _Sent:
    """A marker that was sent for a verb. What was said before it has been told after so many `steps` of the stream."""

    id: int
    verb: Verb
    steps: int


class PlainStream(RemoteStream):
    """One caller's place at a moshi-server."""

    def __init__(self, home: Home, socket: Socket, backlog: float) -> None:
        self._timeline = Timeline()
        self._ids = count(1)
        self._markers: deque[_Sent] = deque()  # sent, and not yet passed
        self._returned = 0  # the highest id that came back: moshi-server may turn round those without audio between
        self._forgetting = 0  # clears that are not back: what is told until then was forgotten
        self._silence = 0  # frames of it since the last audio
        self._fed = 0  # samples of the caller's audio that were sent
        self._heard = 0  # samples that were sent, silence included
        self._steps = 0
        self._spoken_until: float | None = None
        super().__init__(home, socket, backlog)

    def hear(self, reply: Reply | None, lost: str) -> bool:
        """A reply of a moshi-server, in the caller's time; see WireStream."""
        match reply:
            case Mark(id):
                self._returned = max(self._returned, id)
                self._pass_markers()
                return not self._outbox.ended
            case Step():
                super().hear(self._counted(reply), lost)
                self._pass_markers()
                return not self._outbox.ended
            case Word() | WordEnd() | Partial() | Pause() if self._forgetting:
                return True
            case Word() | WordEnd():
                return super().hear(self._placed(reply), lost)
            case _:
                return super().hear(reply, lost)

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(MARK_PATIENCE if self._markers else QUIET):
                    verb = await self._verbs.get()
            except TimeoutError:
                await (self._push() if self._markers else self._live())
            else:
                await self._say(verb)

    async def _say(self, verb: Verb) -> None:
        if isinstance(verb, Audio):
            await self._put_audio(verb.pcm)
            return
        self._forgetting += isinstance(verb, Clear)
        frames = -(-self._heard // FRAME_SAMPLES)
        sent = _Sent(next(self._ids), verb, frames + DELAY if frames else 0)
        self._markers.append(sent)
        await self._put(encode(MarkAt(sent.id), plain=True))
        if isinstance(verb, Flush | Finish):
            await self._push()

    async def _put_audio(self, pcm: PCM) -> None:
        self._silence = 0
        self._timeline.hear(len(pcm))
        self._fed += len(pcm)
        self._heard += len(pcm)
        for start in range(0, len(pcm), FRAME_SAMPLES):  # a moshi-server takes one message a step
            await self._put(encode(Audio(pcm[start : start + FRAME_SAMPLES]), plain=True))
        if not self._steps:  # a model without pause heads sends no steps: nothing tells how far it is
            self.consumed(self._fed)

    async def _push(self) -> None:
        """Push what waits through the model's delay, with silence."""
        dose = DOSE if self._steps else LARGE_DOSE
        self._silence += dose
        if self._silence > SILENCE_LIMIT:
            self.end(Unavailable("the remote engine does not answer its markers"))
            return
        self._timeline.hear(0, dose * FRAME_SAMPLES)
        self._heard += dose * FRAME_SAMPLES
        silence = encode(Audio(np.zeros(FRAME_SAMPLES, dtype=np.float32)), plain=True)
        for _ in range(dose):
            await self._put(silence)

    async def _live(self) -> None:
        """A sign of life of a caller on hold, who keeps the place: audio of no length, which changes nothing there."""
        await self._put(encode(Audio(np.zeros(0, dtype=np.float32)), plain=True))

    def _pass_markers(self) -> None:
        """Tell of the markers that are back, in the order in which they were sent."""
        while self._markers and self._markers[0].id <= self._returned:
            if self._steps and self._steps < self._markers[0].steps:
                return
            self._passed(self._markers.popleft().verb)

    def _passed(self, verb: Verb) -> None:
        match verb:
            case MarkAt(id):
                self.tell(Mark(id))
            case Clear():
                self._forgetting -= 1
            case Finish():
                self.end()
            case _:
                pass

    def _counted(self, step: Step) -> Step:
        """The step by the stream's own count: a moshi-server counts for all its streams together."""
        self._steps += 1
        self.consumed(self._steps * FRAME_SAMPLES)
        paused = len(step.pauses) > PAUSE_HEAD and step.pauses[PAUSE_HEAD] > 0.5 and self._steps > WARM_UP_STEPS
        if paused and self._spoken_until is not None and not self._forgetting:
            self.tell(Pause(self._spoken_until))
            self._spoken_until = None
        return replace(step, index=self._steps)

    def _placed(self, event: Word | WordEnd) -> Event:
        placed: Word | WordEnd
        match event:
            case Word(start=start):
                self._spoken_until = self._timeline.at(start)
                placed = replace(event, start=self._spoken_until)
            case WordEnd(stop):
                self._spoken_until = self._timeline.at(stop)
                placed = WordEnd(self._spoken_until)
        return placed
