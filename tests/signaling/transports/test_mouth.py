"""Telling a reader things without waiting for it."""

import asyncio

import pytest
from aiohttp import web

from media.errors import SlowReader
from signaling.transports.listener import KEEP_ALIVE, PIECE, Pen
from signaling.transports.mouth import Mouth


class Paper(Pen):
    """A reader that takes what is written when a test lets it."""

    def __init__(self) -> None:
        self.written: list[str | bytes] = []
        self.may = asyncio.Event()
        self.fault: Exception | None = None

    async def write(self, text: str | bytes) -> None:
        await self.may.wait()
        if self.fault:
            raise self.fault
        self.written.append(text)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_not_taken_waits_and_nobody_else_does() -> None:
    paper = Paper()
    mouth = Mouth(paper, "idle", Clock())
    for text in ("a", "b", "c"):
        mouth.say(text)
    await asyncio.sleep(0)
    mouth.say("d")
    paper.may.set()
    await mouth.finish()
    assert "".join(map(str, paper.written)) == "abcd"
    assert len(paper.written) == 2  # what waited goes together
    mouth.say("e")
    await mouth.finish()
    await mouth.close()
    assert paper.written[-1] == "e"


async def test_a_sign_of_life_comes_when_nothing_was_said_for_long() -> None:
    paper, clock = Paper(), Clock()
    paper.may.set()
    mouth = Mouth(paper, "idle", clock)
    for passed in (0.0, KEEP_ALIVE - 1, 1.0, 1.0, KEEP_ALIVE - 1):
        clock.now += passed
        mouth.say("")
    await mouth.finish()
    assert paper.written == ["idleidle"]
    clock.now += KEEP_ALIVE - 1
    mouth.say("word")
    clock.now += KEEP_ALIVE - 1
    mouth.say("")
    await mouth.finish()
    await mouth.close()
    assert paper.written == ["idleidle", "word"]


@pytest.mark.parametrize("fault", [SlowReader("late"), ConnectionResetError("gone")])
async def test_a_reader_that_is_late_or_gone_is_told_of_once_known(fault: Exception) -> None:
    paper = Paper()
    paper.may.set()
    paper.fault = fault
    mouth = Mouth(paper, "idle", Clock())
    mouth.say("a")
    with pytest.raises(type(fault)):
        await mouth.finish()
    with pytest.raises(type(fault)):
        mouth.say("")
    await mouth.close()


async def test_a_mouth_that_is_closed_says_no_more() -> None:
    paper = Paper()
    mouth = Mouth(paper, "idle", Clock())
    mouth.say("a")
    await asyncio.sleep(0)
    await mouth.close()
    paper.may.set()
    assert paper.written == []


class Slow(web.StreamResponse):
    """A reader that takes its time for every piece."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.taken: list[int] = []
        self._seconds = seconds

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await asyncio.sleep(self._seconds)
        self.taken.append(len(data))


async def test_who_reads_much_slowly_is_not_late() -> None:
    response = Slow(0.02)
    pen = Pen(response, 0.2)
    await pen.write("x" * (20 * PIECE + 1))  # twice the deadline for all of it
    assert response.taken == [PIECE] * 20 + [1]
