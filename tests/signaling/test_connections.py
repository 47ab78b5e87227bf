"""What aiohttp's connections leave open, and ours do not."""

import asyncio
import gc
import socket
import struct

import pytest

from signaling.connections import PatientHandler
from tests.signaling.house import House, until


async def connected(house: House) -> tuple[PatientHandler, asyncio.StreamWriter]:
    """A connection to the server, as the server sees it and as its caller does."""
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    await until(lambda: house.connections == 1)
    (handler,) = house.handlers
    assert isinstance(handler, PatientHandler)
    return handler, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Go, and leave everything behind that has not been read."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def test_who_gives_up_waiting_to_write_takes_nobody_along(house: House) -> None:
    handler, writer = await connected(house)
    handler.pause_writing()
    first, second = (asyncio.create_task(handler._drain_helper()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))
    later = asyncio.create_task(handler._drain_helper())
    await asyncio.sleep(0)
    assert not second.done()
    assert not later.done()
    handler.resume_writing()
    await asyncio.wait_for(asyncio.gather(second, later), 2)
    writer.close()


async def test_a_caller_who_is_gone_is_told_to_who_waits_to_write_and_to_nobody_else(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody has asked for would be logged when it is forgotten."""
    for tasks in (2, 1):
        handler, writer = await connected(house)
        handler.pause_writing()
        given_up, *waiting = (asyncio.create_task(handler._drain_helper()) for _ in range(tasks))
        await asyncio.sleep(0)
        given_up.cancel()
        reset(writer)
        for task in waiting:
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(task, 2)
        await until(lambda: house.connections == 0)
    del handler, given_up, waiting
    gc.collect()
    assert not caplog.records
