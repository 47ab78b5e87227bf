"""How far the files are, and how long they may be in all."""

import pytest

from offhook.progress import Progress, clock, expected


def test_nothing_is_expected_of_files_before_one_has_told_its_length() -> None:
    progress = Progress(bar=False, lines=False)
    assert expected([progress.add("a", 100), progress.add("b", 100)]) is None


def test_a_byte_of_a_file_that_tells_nothing_is_as_long_as_those_of_the_others() -> None:
    progress = Progress(bar=False, lines=False)
    tracks = [progress.add("a", 100), progress.add("b", 300), progress.add("c", 50)]
    tracks[0].duration, tracks[1].duration = 10.0, 50.0
    assert expected(tracks) == pytest.approx(67.5)


def test_a_file_that_failed_says_nothing_about_others() -> None:
    progress = Progress(bar=False, lines=False)
    failed, other, told = progress.add("a", 1_000_000), progress.add("b", 100), progress.add("c", 100)
    failed.end()
    assert expected([failed, other]) is None
    told.duration = 10.0
    assert expected([failed, other, told]) == 20.0


def test_a_file_never_goes_back_nor_further_than_its_end() -> None:
    track = Progress(bar=False, lines=False).add("a", 1)
    for position, reached in ((3.0, 3.0), (2.0, 3.0)):
        track.reach(position)
        assert track.position == reached
    track.duration = 5.0
    track.reach(7.0)
    assert track.position == 5.0
    track.end(4.9)
    assert (track.position, track.duration) == (4.9, 4.9)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (245.0, "4:05"), (3_599.7, "1:00:00"), (36_061, "10:01:01")]
)
def test_a_length_of_time_is_told_in_minutes(seconds: float, text: str) -> None:
    assert clock(seconds) == text
