import pytest

from signaling.ranges import Span, Unsatisfiable, span

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-", 0, 100),
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("Bytes= 10-19 ", 10, 20),
        ("bytes=99-", 99, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-1000", 0, 100),
    ],
)
def test_a_range_is_a_part(asked: str, start: int, stop: int) -> None:
    part = span(asked, None, ETAG, 100)
    assert part == Span(start, stop)
    assert len(part) == stop - start


@pytest.mark.parametrize(
    "asked",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=+1-2", "bytes=٣-", "bytes=1-2;"),
        *("bytes=5-4", "bytes=0-1,3-4", "seconds=1-2", f"bytes={'9' * 19}-", f"bytes=-{'9' * 5_000}"),
    ],
)
def test_what_is_no_single_range_gets_the_whole_file(asked: str | None) -> None:
    assert span(asked, None, ETAG, 100) is None


@pytest.mark.parametrize(("asked", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100)])
def test_a_range_behind_the_end_cannot_be_served(asked: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        span(asked, None, ETAG, size)


@pytest.mark.parametrize("condition", ['"abd"', 'W/"abc"', "abc", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_part_of_another_file_is_not_wanted(condition: str) -> None:
    assert span("bytes=10-19", condition, ETAG, 100) is None
    assert span("bytes=1000-", condition, ETAG, 100) is None
    assert span("bytes=10-19", ETAG, ETAG, 100) == Span(10, 20)
