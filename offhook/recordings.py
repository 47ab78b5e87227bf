"""The files that a command is given: paths, or standard input."""

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from offhook.outputs import NotWritten, shown

STDIN = "-"

Source = Path | BinaryIO


@dataclass(frozen=True, slots=True)
class Recording:
    """One file. `name`: for people; `source`: what is to be decoded; `stem`: what its transcript is named after."""

    name: str
    source: Source
    stem: str

    @property
    def size(self) -> int:
        """Its bytes, as far as they can be told."""
        try:
            return os.stat(self.source if isinstance(self.source, Path) else self.source.fileno()).st_size
        except OSError:
            return 0

    def check(self) -> None:
        """Raises OSError for what cannot be opened: known before anything is done for it."""
        if not isinstance(self.source, Path):
            return
        if stat.S_ISDIR(self.source.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(self.source, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def recordings(paths: Sequence[str], stack: ExitStack) -> list[Recording]:
    """The files at these paths. Standard input is read to its end and kept while `stack` is open, in a file without a
    name, since what decodes it may go back and forth in it. Raises NotWritten where there is no room for that."""
    return [_standard_input(stack) if path == STDIN else _file(Path(path)) for path in paths]


def _file(path: Path) -> Recording:
    return Recording(shown(path), path, path.stem)


def _standard_input(stack: ExitStack) -> Recording:
    try:
        kept = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        shutil.copyfileobj(sys.stdin.buffer, kept)
    except OSError as error:
        raise NotWritten(f"standard input cannot be kept ({error.strerror}): make room, or set TMPDIR") from None
    return Recording("standard input", kept, "stdin")


def sentence(error: OSError) -> str:
    """Why a file cannot be opened, and what to do."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file: look for a mistake in its name"
        case IsADirectoryError():
            return "this is a directory: name the files in it"
        case PermissionError():
            return "this file may not be read: ask for the permission, or run as its owner"
        case _:
            return f"this file cannot be read ({error.strerror}): copy it to another place"
