"""What a git checkout says of itself, read from git's own files: there is no git where a server runs in a container."""

import zlib
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1 << 20  # bytes of a file of git's that are read


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a directory of git tells of the commit that is checked out: empty where it does not."""

    branch: str = ""
    commit: str = ""
    committed: int | None = None  # Unix seconds

    @classmethod
    def read(cls, root: Path) -> "Checkout":
        """Read from git's own files, without running it."""
        git = _git_directory(root)
        common = git / (_text(git / "commondir").strip() or ".")  # a work tree of its own shares the rest
        head = _text(git / "HEAD").strip()
        if _is_hash(head):
            return cls("", head, _committed(common, head))
        if not head.startswith("ref: refs/heads/"):
            return cls()
        branch = head.removeprefix("ref: refs/heads/")
        commit = _resolved(common, f"refs/heads/{branch}")
        return cls(branch, commit, _committed(common, commit))


def _git_directory(root: Path) -> Path:
    git = root / ".git"
    pointer = _text(git)  # a file in a work tree of its own
    return root / pointer.removeprefix("gitdir: ").strip() if pointer.startswith("gitdir: ") else git


def _resolved(git: Path, reference: str) -> str:
    """The commit that a reference names, loose or packed."""
    loose = _text(git / reference).strip()
    if _is_hash(loose):
        return loose
    lines = (line.partition(" ") for line in _text(git / "packed-refs").splitlines())
    return next((commit for commit, _, name in lines if name == reference and _is_hash(commit)), "")


def _committed(git: Path, commit: str) -> int | None:
    """When the commit was made, if its object is not in a pack."""
    try:
        text = zlib.decompressobj().decompress(_bytes(git / "objects" / commit[:2] / commit[2:]), LIMIT)
    except zlib.error:
        return None
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith("committer "):  # NAME <ADDRESS> SECONDS ZONE
            seconds = line.split(" ")[-2]
            return int(seconds) if seconds.isdecimal() and len(seconds) < 12 else None
    return None


def _is_hash(text: str) -> bool:
    return len(text) in (40, 64) and all(letter in "0123456789abcdef" for letter in text)


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT)
    except OSError:
        return b""
