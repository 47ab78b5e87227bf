"""Several async iterators as one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def merge(main: AsyncIterator[T], *others: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The items of all sources as they come. Ends when `main` does; an error of any source is raised."""
    pending: dict[asyncio.Task[T], AsyncIterator[T]] = {_next(source): source for source in (main, *others)}
    try:
        while True:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = pending.pop(task)
                try:
                    item = task.result()
                except StopAsyncIteration:
                    if source is main:
                        return
                    continue
                yield item
                pending[_next(source)] = source
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _next(source: AsyncIterator[T]) -> "asyncio.Task[T]":
    async def step() -> T:
        return await anext(source)

    return asyncio.create_task(step())
