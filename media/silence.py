"""Silence while nothing is sent: when the wall clock has to supply it, and how that is settled once audio is back.
Pure: it is told the time.

Time follows the sender. But an engine says its last words only when it hears silence, and a sender that stops sends
none; so the wall clock lends some. The gap that the sender's clock shows afterwards is shorter by it, or the audio
that comes is, where it is quiet. Who breaks off in mid-word is given more time first: nothing is lost by waiting, and
silence in the middle of a word makes two words of it.
"""

import numpy as np

from media.codecs import PCM

LAG = 0.040  # seconds that supplied silence stays behind: the first 80 ms of it come 120 ms after audio,
LAG_PACKETS = 2  # or later where packets are long, of which so many may still be under way
STALL = 0.4  # seconds that a caller who broke off in mid-word is waited for: Wi-Fi stalls, and then brings everything
LONGEST_DEBT = 1.0  # seconds of supplied silence that later audio may still be shortened by
FAINT = 0.01  # full scale is 1: audio below it is quiet enough to be left out instead


class Silence:
    """The silence of one track. Lengths are in samples of the track, times in seconds of one clock."""

    def __init__(self, rate: int, frame_samples: int) -> None:
        self.total = 0  # all there was, supplied or the sender's
        self.lent = 0  # what was supplied and nothing has been shortened by yet
        self._rate = rate
        self._frame = frame_samples
        self._wrote = 0.0  # when audio was written last,
        self._last: PCM = np.zeros(0, np.float32)  # what it was,
        self._lag = LAG  # after which more of it is missed,
        self._hushed = 0  # the silence since then,
        self._excused = False  # whether the sender has shown since then that it is there,
        self._waited = False  # and whether it was given time as one who broke off

    # What was written

    def speak(self, pcm: PCM, seconds: float, now: float) -> None:
        """Audio, from a packet of so many seconds."""
        self._last = pcm
        self._lag = max(LAG, LAG_PACKETS * seconds)
        self.resume(now)

    def resume(self, now: float) -> None:
        """What stands for lost audio, or another sender's first packet: silence counts from here."""
        self._wrote = now
        self._hushed = 0
        self._excused = self._waited = False

    def excuse(self) -> None:
        """A packet without audio, in its turn: a key, comfort noise. Nothing is held up where it came from."""
        self._excused = True

    def pause(self, samples: int) -> None:
        """A silence of the sender's."""
        self.total += samples
        self._hushed += samples

    # What the wall clock supplies

    @property
    def deadline(self) -> float:
        """When a frame of silence is due, if nothing is written until then."""
        due = self._wrote + self._lag + (self._hushed + self._frame) / self._rate
        return max(due, self._wrote + STALL) if self._waited else due

    def lend(self, now: float) -> int:
        """How many frames of silence are due. They count as written."""
        frames = 0
        while now >= self.deadline:
            if self._in_mid_word():
                self._waited = True
            else:
                frames += 1
                self.lent += self._frame
                self.pause(self._frame)
        return frames

    def _in_mid_word(self) -> bool:
        """Whether it is news that everything has stopped, and there was no silence before. Who falls silent says so, or
        sends some of it, or presses keys."""
        return not (self._hushed or self._excused or self._waited) and not _is_faint(self._last)

    # How it is settled

    def repay(self, gap: int) -> int:
        """The part of a gap on the sender's clock that was supplied already."""
        repaid = min(self.lent, gap)
        self.lent -= repaid
        return repaid

    def leave_out(self, pcm: PCM) -> int:
        """How much of the beginning of this audio is to be left out. What is still owed once audio is back was none of
        the sender's silence. Of a little of it, as much is left out as is quiet here; the rest is forgiven."""
        self.lent = min(self.lent, int(LONGEST_DEBT * self._rate))
        return self.repay(pcm.size) if _is_faint(pcm) else 0

    def forgive(self) -> None:
        """The sender's clock has started anew: nothing on it can be held against what was lent before."""
        self.lent = 0


def _is_faint(pcm: PCM) -> bool:
    return bool(np.abs(pcm).max(initial=0.0) < FAINT)
