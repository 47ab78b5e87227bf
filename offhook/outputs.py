"""Where transcripts go: files in a directory, or standard output."""

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TextIO


class NotWritten(Exception):
    """A text was not written; the message says why, and what to do."""


class Output(Protocol):
    """Takes the text of each file, by its number in the order in which the files were given."""

    def check(self, number: int) -> None:
        """Raises NotWritten where the text of this file is not wanted, before it is made."""

    def write(self, number: int, text: str) -> str:
        """Take it whole; where it is then, for people. Raises NotWritten."""

    def skip(self, number: int) -> None:
        """There is no text of this file."""


class Directory:
    """A file for each. Nothing that is there is replaced, unless `force` is said; and an input never is."""

    def __init__(self, path: Path, names: Sequence[str], inputs: Sequence[Path], *, force: bool) -> None:
        """Make the directory if it is not there. Raises NotWritten where it cannot hold files."""
        self._targets = [path / name for name in names]
        self._inputs = inputs
        self._force = force
        try:
            path.mkdir(parents=True, exist_ok=True)
            with temporary(path):
                pass
        except OSError as error:
            raise NotWritten(f"{shown(path)} can hold no files ({error.strerror}): set -o to a directory") from None

    def check(self, number: int) -> None:
        """See `Output.check`."""
        target = self._targets[number]
        if not os.path.lexists(target):
            return
        if not self._force:
            raise NotWritten(f"{shown(target)} is there already: say --force to replace it, or set another -o")
        if any(path.exists() and target.exists() and path.samefile(target) for path in self._inputs):
            raise NotWritten(f"{shown(target)} is one of the recordings: set another -o")

    def write(self, number: int, text: str) -> str:
        """See `Output.write`. It is written beside its place and moved there when it is whole."""
        target = self._targets[number]
        self.check(number)
        try:
            with temporary(target.parent) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, target)
        except OSError as error:
            raise NotWritten(
                f"{shown(target)} cannot be written ({error.strerror}): make room, or set another -o"
            ) from None
        return shown(target)

    def skip(self, number: int) -> None:
        """See `Output.skip`."""


@contextlib.contextmanager
def temporary(directory: Path) -> Iterator[TextIO]:
    """A file in a directory, under a name that nobody else has; it is removed, unless it was moved to its place."""
    path = directory / f".offhook-{secrets.token_hex(8)}"
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        try:
            yield file
        finally:
            path.unlink(missing_ok=True)


class Standard:
    """Standard output: the texts of several files come in the order in which the files were given, each under `titles`
    if there are any. `say` prints; it is the progress bar's, which makes way for it."""

    def __init__(self, say: Callable[[str], None], titles: Sequence[str] = ()) -> None:
        self._say = say
        self._titles = titles
        self._waiting: dict[int, str | None] = {}  # None: of this file there is no text
        self._next = 0
        self._between = ""
        self._closed = ""  # why nothing more can be written

    def check(self, number: int) -> None:
        """See `Output.check`."""
        if self._closed:
            raise NotWritten(self._closed)

    def write(self, number: int, text: str) -> str:
        """See `Output.write`."""
        self._add(number, text)
        return "standard output"

    def skip(self, number: int) -> None:
        """See `Output.skip`."""
        with contextlib.suppress(NotWritten):  # which whoever writes next is told
            self._add(number, None)

    def rest(self) -> None:
        """What still waits for a file before it, since that one will not come."""
        with contextlib.suppress(NotWritten):
            for number in sorted(self._waiting):
                self._print(number, self._waiting.pop(number))

    def piece(self, text: str) -> None:
        """A part of the text of the only file, at once. Raises NotWritten."""
        self.check(0)
        try:
            self._say(text)
            sys.stdout.flush()
        except OSError as error:
            self._closed = f"standard output cannot be written ({error.strerror}): nothing more is told there"
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python fails at its end, on what is still unsaid
            raise NotWritten(self._closed) from None

    def _add(self, number: int, text: str | None) -> None:
        self._waiting[number] = text
        while self._next in self._waiting:
            self._print(self._next, self._waiting.pop(self._next))
            self._next += 1

    def _print(self, number: int, text: str | None) -> None:
        if text is None:
            return
        if self._titles:
            text = f"{self._between}==> {self._titles[number]} <==\n{text}"
            self._between = "\n"
        self.piece(text)


def names(stems: Iterable[str], ending: str) -> list[str]:
    """A file name for each, no two alike, also where letters' case does not count: the second `talk` is `talk-2`."""
    taken: set[str] = set()
    chosen: list[str] = []
    for stem in stems:
        number, name = 1, f"{stem}.{ending}"
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}.{ending}"
        taken.add(name.casefold())
        chosen.append(name)
    return chosen


def shown(path: str | Path) -> str:
    """A path as it can be printed: bytes that are no text, and what would move a terminal's cursor, become marks."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
