"""Recordings to texts: several at once, each through the same ears, and one that fails stops no other."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from engine.errors import EngineError, Full
from engine.events import Event, Word
from media.errors import MediaError
from offhook import recordings
from offhook.call import CallFailed
from offhook.formats import Write
from offhook.outputs import NotWritten, Output
from offhook.progress import Progress, Track, clock
from offhook.recordings import Recording, Source
from signaling.segments import Segment
from signaling.transcription import Recorder, Transcript

FAILURES = (MediaError, EngineError, CallFailed, NotWritten, OSError)


class Ears(Protocol):
    """What hears a recording: an engine here, or a server."""

    def events(self, source: Source, track: Track) -> AsyncGenerator[Event, None]:
        """Its words and pauses. `track` is told how far it is, and that it is over. Raises one of FAILURES."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """How a transcript is written. `about`: what is known of all recordings; `live`: is told each event as it
    comes, with the segments that it completed, if any; at the end there is no event."""

    write: Write
    about: Mapping[str, str] = field(default_factory=dict)
    live: Callable[[Event | None, Sequence[Segment]], None] = lambda event, done: None

    def text(self, transcript: Transcript, name: str) -> str:
        """The transcript of the file with this name."""
        return self.write(transcript, {"file": name, **self.about})


class Transcribing:
    """The recordings of one command."""

    def __init__(self, files: Sequence[Recording], form: Form, output: Output, progress: Progress) -> None:
        self._form = form
        self._output = output
        self._progress = progress
        self._jobs = [Job(number, file, progress.add(file.name, file.size)) for number, file in enumerate(files)]
        self.done = self.failed = 0

    def reject(self) -> int:
        """Tell of those that cannot be opened, or whose text is not wanted, before more is done; how many are left."""
        for job in list(self._jobs):
            try:
                job.file.check()
                self._output.check(job.number)
            except FAILURES as error:
                self._fail(job, error)
                self._jobs.remove(job)
        return self.left

    @property
    def left(self) -> int:
        """How many have not been rejected."""
        return len(self._jobs)

    async def run(self, ears: Ears, at_once: int) -> None:
        """All that are left, so many at once."""
        jobs = iter(self._jobs)  # all take from the one
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._work(ears, jobs))

    async def _work(self, ears: Ears, jobs: "Iterator[Job]") -> None:
        for job in jobs:
            try:
                self._output.check(job.number)
                transcript = await self._hear(ears, job)
                where = self._output.write(job.number, self._form.text(transcript, job.file.name))
            except FAILURES as error:
                self._fail(job, error)
            else:
                self._succeed(job, transcript, where)

    async def _hear(self, ears: Ears, job: "Job") -> Transcript:
        recorder = Recorder()
        async with aclosing(ears.events(job.file.source, job.track)) as events:
            async for event in events:
                self._form.live(event, recorder.hear(event, job.track.position))
        self._form.live(None, recorder.finish(job.track.position))
        return recorder.transcript(job.track.position)

    def _succeed(self, job: "Job", transcript: Transcript, where: str) -> None:
        self.done += 1
        if job.track.lost:
            self._progress.complain(f"offhook: {job.file.name}: {job.track.lost}")
        length, words = clock(transcript.duration), len(transcript.words)
        self._progress.line(f"{job.file.name}: {length}, {words} word{'s' * (words != 1)}: {where}")

    def _fail(self, job: "Job", error: Exception) -> None:
        self.failed += 1
        job.track.end()
        self._output.skip(job.number)
        self._progress.complain(f"offhook: {job.file.name}: {sentence(error)}")


@dataclass(frozen=True, slots=True)
class Job:
    """One recording, by its number in the order in which they were given, and how far it is."""

    number: int
    file: Recording
    track: Track


class Lines:
    """Words as people read them, a line for each segment; with `each`, every word as soon as it is known."""

    def __init__(self, say: Callable[[str], None], *, each: bool) -> None:
        self._say = say
        self._each = each
        self._begun = False

    def hear(self, event: Event | None, done: Sequence[Segment]) -> None:
        """See `Form.live`."""
        for segment in done:
            self._say("\n" if self._each else f"{segment.text}\n")
            self._begun = False
        if self._each and isinstance(event, Word):
            self._say(" " * self._begun + event.text)
            self._begun = True


def sentence(error: Exception) -> str:
    """What went wrong, and what to do."""
    match error:
        case Full():
            return "every place of the engine is taken: try again later"
        case OSError():
            return recordings.sentence(error)
        case _:
            return str(error)
