import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.errors import EngineError, Full, Unavailable
from signaling import queue
from signaling.errors import Draining
from signaling.queue import Queue


class Desk:
    """An engine's places, in a test's hands, and the line before them."""

    def __init__(self, patience: float = 5.0, length: int = 8) -> None:
        self.free = 0
        self.error: EngineError = Full()
        self.tries = 0
        self.outcomes: Counter[str] = Counter()
        self.served: list[str] = []
        self.told: dict[str, list[int]] = {}
        self._outcome = asyncio.Event()
        self.queue = Queue(patience, length, self._count)
        self.tasks: list[asyncio.Task[None]] = []

    async def attempt(self) -> str:
        self.tries += 1
        if not self.free:
            raise self.error
        self.free -= 1
        return "a place"

    def ask(self, name: str, left: "asyncio.Future[None] | None" = None) -> asyncio.Task[None]:
        """Somebody asks; the first letter of the name is the asker."""
        task = asyncio.create_task(self._ask(name, left))
        self.tasks.append(task)
        return task

    async def _ask(self, name: str, left: "asyncio.Future[None] | None") -> None:
        told = self.told.setdefault(name, [])
        assert await self.queue.place(self.attempt, name[0], told.append, left) == "a place"
        self.served.append(name)

    async def standing(self, number: int) -> None:
        """Let everybody who has asked come into the line."""
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(self.queue) == number

    def give(self, places: int = 1) -> None:
        self.free += places
        self.queue.freed()

    async def ended(self, outcome: str, times: int = 1) -> None:
        async with asyncio.timeout(2):
            while self.outcomes[outcome] < times:
                self._outcome.clear()
                await self._outcome.wait()

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self._outcome.set()


async def within(waiting: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> Any:
    return await asyncio.wait_for(waiting, 2)


async def test_a_free_place_is_given_at_once_and_nobody_is_told_of_a_line() -> None:
    desk = Desk()
    desk.free = 1
    await within(desk.ask("a"))
    assert (desk.tries, desk.told["a"], desk.outcomes) == (1, [], Counter())


async def test_without_patience_all_taken_is_said_at_once() -> None:
    desk = Desk(patience=0)
    with pytest.raises(Full):
        await within(desk.ask("a"))
    assert desk.tries == 1


async def test_who_waits_is_served_in_turn_and_told_of_every_step_forward() -> None:
    desk = Desk()
    for name in ("a1", "a2", "b1"):
        desk.ask(name)
        await desk.standing(len(desk.tasks))
    assert desk.told == {"a1": [1], "a2": [2, 3], "b1": [2]}
    for number in range(1, 4):
        desk.give()
        await desk.ended("served", number)
    await within(asyncio.gather(*desk.tasks))
    assert desk.served == ["a1", "b1", "a2"]
    assert desk.told == {"a1": [1], "a2": [2, 3, 2, 1], "b1": [2, 1]}
    assert len(desk.queue) == 0


async def test_several_places_that_come_free_together_are_all_given() -> None:
    desk = Desk()
    for name in ("a1", "a2", "b1"):
        desk.ask(name)
    await desk.standing(3)
    desk.give(3)
    await within(asyncio.gather(*desk.tasks))


async def test_nobody_slips_in_beside_the_line() -> None:
    desk = Desk()
    desk.ask("a")
    await desk.standing(1)
    desk.free = 1  # and nobody has been told yet
    desk.ask("b")
    await desk.standing(2)
    desk.queue.freed()
    await desk.ended("served")
    await within(desk.tasks[0])
    assert desk.served == ["a"]
    desk.give()
    await within(desk.tasks[1])


async def test_only_the_first_tries_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RETRY", 0.01)
    desk = Desk()
    desk.ask("a")
    desk.ask("b")
    await desk.standing(2)
    desk.free = 1  # on another machine: nobody says so
    await within(desk.tasks[0])
    desk.free = 1
    await within(desk.tasks[1])
    assert desk.served == ["a", "b"]


async def test_the_wait_has_an_end() -> None:
    desk = Desk(patience=0.05)
    with pytest.raises(Full):
        await within(desk.ask("a"))
    assert desk.outcomes == {"expired": 1}
    assert len(desk.queue) == 0


async def test_an_engine_that_is_away_for_a_while_sends_nobody_out_of_the_line() -> None:
    desk = Desk()
    desk.ask("a")
    await desk.standing(1)
    desk.error = Unavailable("it is being restarted")
    desk.queue.freed()
    await desk.standing(1)
    desk.give()
    await within(desk.tasks[0])


async def test_an_engine_that_stays_away_is_told_at_the_end_and_at_once_where_nobody_waits() -> None:
    desk = Desk(patience=0.05)
    task = desk.ask("a")
    await desk.standing(1)
    desk.error = Unavailable("it has died")
    desk.queue.freed()
    with pytest.raises(Unavailable):
        await within(task)
    tries = desk.tries
    with pytest.raises(Unavailable):
        await within(desk.ask("b"))
    assert desk.tries == tries + 1


async def test_who_leaves_makes_room_and_the_next_tries_at_once() -> None:
    desk = Desk()
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    first, second = desk.ask("a", left), desk.ask("b")
    await desk.standing(2)
    desk.free = 1
    left.set_result(None)
    with pytest.raises(Full):
        await within(first)
    await within(second)
    assert desk.outcomes == {"left": 1, "served": 1}


async def test_who_is_given_up_leaves_the_line_too() -> None:
    desk = Desk()
    first, second = desk.ask("a"), desk.ask("b")
    await desk.standing(2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert desk.told["b"] == [2, 1]
    desk.give()
    await within(second)


async def test_a_connection_that_is_kept_remembers_nobody_who_has_waited_on_it() -> None:
    desk = Desk(patience=0.01)
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for _ in range(3):
        with pytest.raises(Full):
            await within(desk.ask("a", left))
    assert not left._callbacks


async def test_one_asker_cannot_fill_the_line_ahead_of_others() -> None:
    desk = Desk(length=3)
    greedy = [desk.ask(f"a{number}") for number in range(5)]
    await desk.standing(3)
    other = desk.ask("b")
    await desk.standing(3)
    assert desk.outcomes == {"refused": 3}
    assert [task.done() for task in greedy] == [False, False, True, True, True]
    assert desk.told["b"] == [2]
    desk.give(3)
    await within(other)
    assert desk.served[:2] == ["a0", "b"]
    results = await within(asyncio.gather(*greedy, return_exceptions=True))
    assert [type(result) for result in results] == [type(None), type(None), Full, Full, Full]


async def test_who_finds_no_room_and_leaves_is_counted_once() -> None:
    desk = Desk(length=1)
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    desk.ask("a")
    await desk.standing(1)
    late = desk.ask("b", left)
    left.set_result(None)
    with pytest.raises(Full):
        await within(late)
    assert desk.outcomes.total() == 1


async def test_at_the_end_of_the_server_nobody_waits_any_longer() -> None:
    desk = Desk()
    tasks = [desk.ask(name) for name in ("a1", "a2", "b")]
    await desk.standing(3)
    desk.queue.dismiss(Draining("the end"))
    results = await within(asyncio.gather(*tasks, return_exceptions=True))
    assert [type(result) for result in results] == [Draining] * 3
    assert len(desk.queue) == 0
