"""A git directory, written as git writes it."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from signaling.checkout import Checkout

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BODY = b"commit 99\0tree 1\nauthor A <a@b> 100 +0100\ncommitter A B <a@b> 1700000000 -0500\n\nA message\n"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


OBJECT = {f".git/objects/{COMMIT[:2]}/{COMMIT[2:]}": zlib.compress(BODY)}


def test_a_branch_its_commit_and_when_that_was_made(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".git/HEAD": "ref: refs/heads/topic/on\n",
        ".git/refs/heads/topic/on": f"{COMMIT}\n",
        **OBJECT,
    }
    assert Checkout.read(write(tmp_path, files)) == Checkout("topic/on", COMMIT, 1_700_000_000)


def test_a_clone_keeps_its_references_and_objects_packed(tmp_path: Path) -> None:
    packed = f"# pack-refs with: peeled\n{'1' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n^{'2' * 40}\n"
    files: dict[str, str | bytes] = {".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": packed}
    assert Checkout.read(write(tmp_path, files)) == Checkout("main", COMMIT, None)


def test_a_commit_without_a_branch(tmp_path: Path) -> None:
    assert Checkout.read(write(tmp_path, {".git/HEAD": COMMIT, **OBJECT})) == Checkout("", COMMIT, 1_700_000_000)


def test_a_work_tree_of_its_own_points_at_the_rest(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "tree/.git": f"gitdir: {tmp_path}/.git/worktrees/tree\n",
        ".git/worktrees/tree/HEAD": "ref: refs/heads/side\n",
        ".git/worktrees/tree/commondir": "../..\n",
        ".git/refs/heads/side": COMMIT,
        **OBJECT,
    }
    assert Checkout.read(write(tmp_path, files) / "tree") == Checkout("side", COMMIT, 1_700_000_000)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".git/HEAD": "what?"},
        {".git/HEAD": b"\xff\xfe"},
        {".git/HEAD": "ref: ../../etc/passwd"},
        {".git": "gitdir: nowhere"},
    ],
)
def test_where_there_is_no_git_nothing_is_told(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert Checkout.read(write(tmp_path, files)) == Checkout()


@pytest.mark.parametrize("damaged", [b"", b"not zlib", zlib.compress(BODY)[:20], zlib.compress(b"commit 1\0committer")])
def test_a_damaged_commit_has_no_time(tmp_path: Path, damaged: bytes) -> None:
    files: dict[str, str | bytes] = {".git/HEAD": COMMIT, next(iter(OBJECT)): damaged}
    assert Checkout.read(write(tmp_path, files)).committed is None
