"""How far the files are, on standard error: a bar with the time left, or a line for each file, or nothing."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

FORM = "{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}"


class Track:
    """One file. `duration`: its seconds, None while they are not known; `position`: how many were heard; `lost`: what
    of it was not, as a sentence, if anything was."""

    def __init__(self, progress: "Progress", name: str, size: int) -> None:
        self.name = name
        self.size = size  # bytes
        self.duration: float | None = None
        self.position = 0.0
        self.lost = ""
        self._progress = progress

    def reach(self, position: float) -> None:
        """It was heard so far; never less than before, nor more than it has."""
        self.position = max(self.position, position if self.duration is None else min(position, self.duration))
        self._progress.show()

    def end(self, duration: float | None = None) -> None:
        """It is over, after so many seconds; or it failed, and what was heard of it says nothing about other files."""
        if duration is None:
            duration, self.size = self.position, 0
        self.duration = self.position = duration
        self._progress.end()


class Progress:
    """The files of one command. With `bar` there is a bar, with `lines` each file that is done is a line."""

    def __init__(self, *, bar: bool, lines: bool) -> None:
        self._lines = lines
        self._tracks: list[Track] = []
        self._ended = 0
        self._bar: tqdm[Never] | None = None
        self._wanted = bar

    def __enter__(self) -> Self:
        if self._wanted:
            self._bar = tqdm(total=None, bar_format=FORM, file=sys.stderr, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, name: str, size: int) -> Track:
        """One more file, of so many bytes."""
        self._tracks.append(Track(self, name, size))
        return self._tracks[-1]

    def show(self) -> None:
        """Move the bar to where the files are."""
        if (bar := self._bar) is None:
            return
        heard, all_of_it = sum(track.position for track in self._tracks), expected(self._tracks)
        bar.total = None if all_of_it is None else max(heard, all_of_it)
        bar.postfix = self._figures(heard, bar.total)
        bar.update(max(0.0, heard - bar.n))

    def end(self) -> None:
        """One file is over."""
        self._ended += 1
        self.show()

    def line(self, text: str) -> None:
        """Tell of a file that is done, where each is a line."""
        if self._lines:
            self.complain(text)

    def complain(self, text: str) -> None:
        """A line on standard error, whatever is shown there."""
        tqdm.write(text, file=sys.stderr)

    def say(self, text: str) -> None:
        """Text on standard output; a bar on the same terminal makes way for it."""
        tqdm.write(text, file=sys.stdout, end="")

    def _figures(self, heard: float, all_of_it: float | None) -> str:
        files = f", {self._ended} of {len(self._tracks)} files" if len(self._tracks) > 1 else ""
        return f"{clock(heard)} of {'?' if all_of_it is None else clock(all_of_it)}{files}"


def expected(tracks: Sequence[Track]) -> float | None:
    """Seconds of all files: a byte of one that does not tell its duration, or not yet, is as long as those of the
    others are. None as long as none has told."""
    known = {track: track.duration for track in tracks if track.duration is not None}
    size = sum(track.size for track in known)
    if not known or not size:
        return None
    seconds = sum(known.values())
    return seconds + sum(track.size for track in tracks if track not in known) * seconds / size


def clock(seconds: float) -> str:
    """A length of time as people read it: 4:05, or 1:04:05."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
