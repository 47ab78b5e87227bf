"""Names of files, and the order of what comes on standard output."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.outputs import Directory, NotWritten, Standard, names, shown


def test_a_number_tells_names_apart_that_are_the_same() -> None:
    assert names(["a", "b", "a", "A", "a-2"], "txt") == ["a.txt", "b.txt", "a-2.txt", "A-3.txt", "a-2-2.txt"]


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "A-2", "b"]), max_size=12))
def test_no_two_names_are_alike(stems: list[str]) -> None:
    chosen = names(stems, "srt")
    assert len({name.casefold() for name in chosen}) == len(stems)


def test_what_is_printed_of_a_path_cannot_move_the_cursor() -> None:
    assert shown(Path("a\x1b[2Jb\n")) == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"
    assert shown(os.fsdecode(b"caf\xc3\xa9 \xff")) == "café \N{REPLACEMENT CHARACTER}"


def test_texts_come_in_the_order_of_their_files() -> None:
    said: list[str] = []
    standard = Standard(said.append, ["a", "b", "c", "d"])
    standard.write(2, "3\n")
    standard.skip(1)
    assert said == []
    standard.write(0, "1\n")
    assert "".join(said) == "==> a <==\n1\n\n==> c <==\n3\n"
    standard.write(3, "4\n")
    assert said[-1] == "\n==> d <==\n4\n"


def test_what_is_done_is_told_when_the_command_is_interrupted() -> None:
    said: list[str] = []
    standard = Standard(said.append)
    standard.write(1, "2\n")
    standard.rest()
    assert said == ["2\n"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    directory = Directory(tmp_path, ["a.txt"], [], force=False)
    directory.check(0)
    (tmp_path / "a.txt").write_text("of somebody else")
    with pytest.raises(NotWritten, match="is there already"):
        directory.write(0, "ours")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of somebody else"]
