"""One caller's audio to events, with a recogniser that can only transcribe whole stretches of audio.

The utterance that goes on is transcribed again with each piece of audio that arrives: what two hypotheses in a row
agree on is told as words, the rest as the tail. No clock, no thread: the engine's worker calls, and gets events back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.agreement import HELD_BACK, Agreed, Agreement
from engine.base import PCM, SAMPLE_RATE
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.steps import Steps
from engine.utterances import HOP_SECONDS, Utterance, Utterances

HOP = round(HOP_SECONDS * SAMPLE_RATE)  # 768 samples
LEAD = 16  # hops of audio heard again before new ones, so that the detector has forgotten what it heard in between
INAUDIBLE = 0.001  # full scale; -60 dBFS: no voice is in audio that never gets louder

# Set behind speech that is cut off: a model that hears no end to it makes one up ("Ever tried, ever tried,").
# A revision goes without it, since there it would end every sentence early.
SILENCE = np.zeros(round(0.2 * SAMPLE_RATE), np.float32)


class Ears(Protocol):
    """What a listener needs of a recogniser. Both calls take as long as they take."""

    def voice(self, pcm: PCM) -> list[bool]:
        """Whether each of the hops of `pcm` holds voice; its length is a multiple of HOP."""
        ...

    def words(self, pcm: PCM) -> list[str]:
        """The words spoken in `pcm`."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """A mark that waits: the sample it stands at, and how many words must be settled first, once that is known."""

    id: int
    position: int
    words: int | None = None


class Listener:
    """Audio in, events out; positions are samples since the stream began.

    The recogniser gives no times of words: they are estimated, by spreading the letters of a hypothesis evenly over
    the voice of its utterance. They never go backwards, and lie within the utterance.
    """

    def __init__(self, ears: Ears, held_back: int = HELD_BACK, steps: Steps | None = None) -> None:
        self._ears = ears
        self._held_back = held_back
        self._steps = steps  # None: nobody wants to know of them
        self._marks: list[Told] = []
        self._tail = ""  # the Partial that was told last
        self._time = 0.0  # the end of the last word
        self._audio: PCM = np.zeros(0, np.float32)
        self._audio_from = self._origin = 0  # the position of the buffer's first sample; of hop 0
        self._hops = 0  # how many were looked at
        self._utterances = Utterances()
        self._agreement = Agreement(self._held_back)

    @property
    def marked(self) -> bool:
        """Whether a mark waits."""
        return bool(self._marks)

    def hear(self, pcm: PCM, waiting: int = 0) -> list[Event]:
        """Add audio, behind which so many samples wait; the words of the utterances that ended in it, and the Steps.

        A Step stands behind the words of an utterance that its silence has ended: who goes by it has them all.
        """
        self._audio = np.concatenate((self._audio, pcm))
        heard = self._audio_from + len(self._audio)
        events: list[Event] = []
        for flag in self._voice():
            closed = self._utterances.push(flag)
            self._hops += 1
            if closed:
                events += self._conclude(closed)
            events += self._step(self._sample(self._hops), heard + waiting)
        events += self._step(heard, heard + waiting)
        self._trim()
        return events + self._release()

    def revise(self) -> list[Event]:
        """Transcribe the utterance that goes on, as far as it has been heard: settled words, and the tail."""
        utterance = self._utterances.open
        if utterance is None:
            return []
        hypothesis = self._ears.words(self._cut(utterance.start))
        agreed = self._agreement.revise(hypothesis)
        events = self._tell(utterance, hypothesis, agreed)
        self._marks = [self._expecting(mark, len(hypothesis)) for mark in self._marks]
        return events + self._release()

    def flush(self) -> list[Event]:
        """Say everything that was heard, now; the utterance goes on behind it. Marks that wait are told."""
        return self._speak_up() + self._release(everything=True)

    def finish(self) -> list[Event]:
        """The last words, the end of the utterance that was open, the marks that wait."""
        events = self._speak_up()
        closed = self._utterances.close(paused=True)
        if closed:
            events += self._end(closed)
        return events + self._release(everything=True)

    def clear(self, position: int) -> list[Event]:
        """Forget all audio before `position`, where the next piece will begin. Marks that wait are told."""
        self._audio = self._audio[:0]
        self._audio_from = self._origin = position
        self._hops = 0
        self._utterances = Utterances()
        self._agreement = Agreement(self._held_back)
        if self._steps:
            self._steps.restart(position)
        return self._show("") + self._release(everything=True)

    def mark(self, id: int, position: int) -> None:
        """Tell `Mark(id)` once all audio before `position` has been told."""
        self._marks.append(Told(id, position))

    def _voice(self) -> list[bool]:
        """Flags for the hops that are complete and have not been looked at."""
        fresh = self._sample(self._hops) - self._audio_from
        count = (len(self._audio) - fresh) // HOP
        stop = fresh + count * HOP
        if count == 0 or np.abs(self._audio[fresh:stop]).max() < INAUDIBLE:
            return [False] * count
        lead = max(0, fresh - LEAD * HOP)
        quiet = np.zeros(LEAD * HOP - (fresh - lead), np.float32)  # before a stream's first audio there was none
        return self._ears.voice(np.concatenate((quiet, self._audio[lead:stop])))[LEAD:]

    def _step(self, position: int, fed: int) -> list[Step]:
        """The Steps of the audio before `position`, by what is known of its voice; audio was fed up to `fed`."""
        if self._steps is None:
            return []
        return self._steps.hear(position, self._utterances.silence * HOP_SECONDS, fed)

    def _speak_up(self) -> list[Event]:
        """Settle every word of the utterance that goes on."""
        utterance = self._utterances.open
        if utterance is None or utterance.voiced_to == utterance.voiced_from:
            return []
        hypothesis = self._ears.words(np.concatenate((self._cut(utterance.start), SILENCE)))
        return self._tell(utterance, hypothesis, self._agreement.conclude(hypothesis))

    def _conclude(self, closed: Utterance) -> list[Event]:
        """The last words of an utterance, and its end."""
        events: list[Event] = []
        if closed.voiced_to > closed.voiced_from:
            hypothesis = self._ears.words(self._cut(closed.start, closed.stop))
            events = self._tell(closed, hypothesis, self._agreement.conclude(hypothesis))
        return events + self._end(closed)

    def _end(self, closed: Utterance) -> list[Event]:
        """No tail is left; a pause, unless the voice goes on."""
        self._agreement = Agreement(self._held_back)
        events = self._show("")
        if closed.paused:
            events.append(Pause(max(self._time, self._seconds(closed.voiced_to))))
        return events

    def _tell(self, utterance: Utterance, hypothesis: Sequence[str], agreed: Agreed) -> list[Event]:
        start, stop = self._seconds(utterance.voiced_from), self._seconds(utterance.voiced_to)
        events: list[Event] = []
        for index, (begins, ends) in enumerate(spread(hypothesis, start, stop)):
            if agreed.first <= index < agreed.stop:
                events.append(Word(hypothesis[index], max(begins, self._time)))
                self._time = max(ends, self._time)
                events.append(WordEnd(self._time))
        return events + self._show(" ".join(hypothesis[agreed.stop :]))

    def _show(self, tail: str) -> list[Event]:
        if tail == self._tail:
            return []
        self._tail = tail
        return [Partial(tail)]

    def _expecting(self, mark: Told, words: int) -> Told:
        """A mark in the middle of an utterance waits until the words of its first hypothesis have settled."""
        heard = self._audio_from + len(self._audio)
        return Told(mark.id, mark.position, words) if mark.words is None and mark.position <= heard else mark

    def _release(self, everything: bool = False) -> list[Event]:
        told = self._sample(self._utterances.told)
        events: list[Event] = []
        while self._marks and (everything or self._is_told(self._marks[0], told)):
            events.append(Mark(self._marks.pop(0).id))
        return events

    def _is_told(self, mark: Told, told: int) -> bool:
        return mark.position <= told or (mark.words is not None and self._agreement.settled >= mark.words)

    def _trim(self) -> None:
        """Drop the audio that neither an utterance nor the detector's lead can need again."""
        keep = min(self._utterances.needed, max(0, self._hops - LEAD))
        drop = self._sample(keep) - self._audio_from
        if drop > 0:
            self._audio = self._audio[drop:]
            self._audio_from += drop

    def _cut(self, start: int, stop: int | None = None) -> PCM:
        """The audio of hops [start, stop), or from `start` to the end of what was heard."""
        end = None if stop is None else self._sample(stop) - self._audio_from
        return self._audio[self._sample(start) - self._audio_from : end]

    def _sample(self, hop: int) -> int:
        return self._origin + hop * HOP

    def _seconds(self, hop: int) -> float:
        return self._sample(hop) / SAMPLE_RATE


def spread(words: Sequence[str], start: float, stop: float) -> list[tuple[float, float]]:
    """Where each word would begin and end if every letter, and every space between two words, took equally long."""
    letters = sum(len(word) + 1 for word in words) - 1
    times: list[tuple[float, float]] = []
    done = 0
    for word in words:
        begins, ends = done / letters, (done + len(word)) / letters
        times.append((start + begins * (stop - start), start + ends * (stop - start)))
        done += len(word) + 1
    return times
