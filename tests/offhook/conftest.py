from collections.abc import AsyncIterator, Awaitable, Callable

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
