import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.offhook.server import Server

StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Starts servers with the arguments given, and ends them after the test."""
    servers: list[Server] = []

    async def start(*arguments: str) -> Server:
        servers.append(await Server.start(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        await server.close()


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches the processes that a test starts, also where the tests run in a shell's background: there it is
    ignored, and what is ignored is inherited (POSIX, Shell Command Language, 2.11)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
