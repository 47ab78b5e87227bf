"""The files of the repository stand by themselves: they name no place outside it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Put together here, so that this file does not name them either.
ELSEWHERE = ["/" + "work" + "/", "/" + "opt" + "/", "shared" + "/", "/" + "root" + "/"]


def files() -> list[Path]:
    """Every file that is, or is about to be, part of the repository."""
    git = shutil.which("git")
    assert git, "the tests need git"
    command = [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return [path for path in (ROOT / name for name in listed if name) if path.is_file()]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_no_file_names_a_place_outside_the_repository(place: str) -> None:
    found = files()
    assert len(found) > 100
    assert [path.name for path in found if place.encode() in path.read_bytes()] == []
