import asyncio
from collections.abc import AsyncGenerator

import pytest

from signaling.transports.merge import merge


async def count(*numbers: int, then: Exception | None = None, forever: bool = False) -> AsyncGenerator[int, None]:
    for number in numbers:
        yield number
    if then:
        raise then
    if forever:
        await asyncio.Future()


async def test_everything_comes_and_the_main_source_ends_it() -> None:
    assert sorted([item async for item in merge(count(1, 2, 3), count(4, 5))]) == [1, 2, 3, 4, 5]


async def test_what_the_main_source_still_has_comes_after_the_others_have_ended() -> None:
    assert [item async for item in merge(count(1, 2, 3), count())] == [1, 2, 3]


async def test_others_that_wait_do_not_keep_it_open() -> None:
    async with asyncio.timeout(1):
        assert [item async for item in merge(count(1), count(forever=True))] == [1]


async def test_an_error_of_any_source_is_raised() -> None:
    with pytest.raises(OSError, match="gone"):
        _ = [item async for item in merge(count(forever=True), count(then=OSError("gone")))]


async def test_leaving_early_leaves_no_task_behind() -> None:
    merged = merge(count(1, forever=True), count(forever=True))
    assert await anext(merged) == 1
    before = len(asyncio.all_tasks())
    await merged.aclose()
    assert len(asyncio.all_tasks()) < before
