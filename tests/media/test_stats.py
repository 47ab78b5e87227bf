"""What a track counts."""

from media.events import Digit
from media.frames import MOST_EVENTS
from tests.media.line import Line


async def test_events_that_nobody_reads_in_time_are_counted() -> None:
    line = Line()
    for number in range(MOST_EVENTS + 3):
        line.track.tell(Digit("1", float(number), 0.1))
    assert line.track.stats.events_dropped == 3
