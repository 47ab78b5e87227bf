import asyncio

import pytest

from engine.events import Partial, Step, Word
from media.errors import SlowReader
from media.events import Quality
from signaling import eventlog
from signaling.eventlog import STEPS_KEPT, EventLog
from signaling.events import Ended, Entry


async def read_all(log: EventLog, after: int = 0) -> list[Entry]:
    async with asyncio.timeout(2):
        return [entry async for entry in log.read(after)]


def words(*texts: str) -> EventLog:
    log = EventLog()
    for text in texts:
        log.append(Word(text, 0.0))
    return log


async def test_events_are_numbered_from_one_and_read_in_order() -> None:
    log = words("a", "b")
    log.end()
    assert await read_all(log) == [Entry(1, Word("a", 0.0)), Entry(2, Word("b", 0.0))]


async def test_who_comes_back_reads_on_after_the_last_number_it_has_seen() -> None:
    log = words("a", "b", "c")
    log.end()
    assert [entry.seq for entry in await read_all(log, after=2)] == [3]
    assert await read_all(log, after=3) == []
    assert await read_all(log, after=99) == []


async def test_a_reader_waits_for_what_comes_and_ends_with_the_log() -> None:
    log = words("a")
    reading = asyncio.create_task(read_all(log))
    await asyncio.sleep(0)
    log.append(Word("b", 1.0))
    log.append(Ended("bye"))
    log.end()
    assert [entry.event for entry in await reading] == [Word("a", 0.0), Word("b", 1.0), Ended("bye")]


async def test_only_the_newest_tail_is_kept_in_its_place() -> None:
    log = EventLog()
    log.append(Partial("he"))
    log.append(Partial("hell"))
    log.append(Word("hello", 0.0))
    log.append(Partial("wor"))
    log.append(Word("world", 0.0))
    log.end()
    assert [(entry.seq, entry.event) for entry in await read_all(log)] == [
        (3, Word("hello", 0.0)),
        (4, Partial("wor")),
        (5, Word("world", 0.0)),
    ]


async def test_only_the_newest_quality_is_kept() -> None:
    log = EventLog()
    for loss in (0.1, 0.2):
        log.append(Quality(loss, 0.0, 0.0, 0.0, 0.0, 0.0, None, 4.0))
        log.append(Word("a", loss))
    log.end()
    assert [entry.seq for entry in await read_all(log)] == [2, 3, 4]


async def test_nothing_is_added_after_the_end() -> None:
    log = words("a")
    log.end()
    log.append(Word("late", 0.0))
    assert [entry.seq for entry in await read_all(log)] == [1]


async def test_a_reader_that_falls_behind_is_let_go_but_a_late_comer_may_catch_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventlog, "ENTRIES_BEHIND", 5)
    log = words(*"abcdefghij")
    reader = log.read()
    assert [(await anext(reader)).seq for _ in range(10)] == list(range(1, 11))  # ten behind at first: a late comer
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    for text in "klmnop":
        log.append(Word(text, 0.0))
    with pytest.raises(SlowReader):
        await waiting


async def test_the_log_is_bounded_and_counts_what_it_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "ENTRIES_KEPT", 3)
    log = words(*"abcde")
    log.end()
    assert [entry.seq for entry in await read_all(log)] == [3, 4, 5]
    assert log.dropped == 2


async def test_steps_are_read_in_their_order_among_the_words() -> None:
    log = EventLog()
    log.append(Step(0, (), 0.0))
    log.append(Word("one", 0.0))
    log.append(Step(1, (), 0.0))
    log.end()
    assert [entry.seq async for entry in log.read()] == [1, 2, 3]


async def test_steps_never_push_a_word_out() -> None:
    log = EventLog()
    log.append(Word("one", 0.0))
    for index in range(STEPS_KEPT + 5):
        log.append(Step(index, (), 0.0))
    log.end()
    entries = [entry async for entry in log.read()]
    assert entries[0].event == Word("one", 0.0)
    assert len(entries) == 1 + STEPS_KEPT
    assert log.dropped == 0
