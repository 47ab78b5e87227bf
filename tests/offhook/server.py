"""`offhook` in a process of its own, as a user starts it."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import psutil

from tests.signaling.house import Browser, Event, Voice

GREETING = re.compile(r"listening on (http://\S+)")
START = 50.0  # seconds for a server to be warm, on a machine with much else to do


async def spawn(*arguments: str) -> asyncio.subprocess.Process:
    """`offhook` with these arguments, in a process group of its own, without the settings of this environment."""
    ours = ("OFFHOOK", "KYUTAI", "YAP")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "offhook.cli",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


async def outcome(*arguments: str, within: float = 50.0) -> tuple[int, str, str]:
    """Run `offhook` to its end: the exit code, what it printed, and what it complained of."""
    process = await spawn(*arguments)
    async with or_killed(process):
        out, err = await asyncio.wait_for(process.communicate(), within)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def or_killed(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Should this fail, the process and those that it has started do not outlive it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
        raise


class Server:
    """A running `offhook serve` with the engine that hears tones."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self._http = aiohttp.ClientSession()
        self._browsers: list[Browser] = []

    @classmethod
    async def start(cls, *arguments: str) -> "Server":
        process = await spawn("serve", "--engine", "scripted", "--port", "0", *arguments)
        assert process.stdout is not None
        async with or_killed(process):
            line = (await asyncio.wait_for(process.stdout.readline(), START)).decode()
            found = GREETING.search(line)
            assert found, line
        return cls(process, found[1])

    @property
    def engine(self) -> psutil.Process:
        """The process of the engine."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    async def health(self) -> tuple[int, Event]:
        """The status and the body of /health."""
        async with self._http.get(f"{self.url}/health") as response:
            return response.status, await response.json()

    async def dial(self) -> Browser:
        """A page's signaling socket."""
        browser = Browser(await self._http.ws_connect(f"{self.url}/v1/signal", protocols=("offhook",)))
        self._browsers.append(browser)
        return browser

    async def call(self, *words: str) -> tuple[Browser, Voice]:
        """A caller who is connected and is saying `words`."""
        browser = await self.dial()
        voice = await browser.speak(words)
        await voice.told("ready")
        return browser, voice

    async def stop_reading(self) -> None:
        """Close this end of the server's standard output."""
        assert self.process.stdout is not None
        pipe = self.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # asyncio has no public way
        pipe.close()
        await self.process.stdout.read()  # returns once it is closed

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the server, or to everything that a terminal would send it to."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    async def exit(self, within: float) -> int:
        """Wait for the end; the exit code."""
        try:
            return await asyncio.wait_for(self.process.wait(), within)
        finally:
            assert self.process.returncode is not None

    async def complaints(self) -> str:
        """Everything on standard error, once it has ended."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self._http.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the engine too, also where the server has left it behind
        await self.process.communicate()
