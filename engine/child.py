"""The engine's own process: the far side of process.py.

It is started as `python -m engine.child FD SOCKET`. FD is its end of the control connection: the configuration comes
in there as JSON, and out go once a second the figures of the engine, and at last the reason why it can serve no more.
SOCKET is where it listens once the figures say that it is ready. It ends when the control connection does, so it never
outlives its parent.
"""

import asyncio
import json
import logging
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

from engine import load
from engine.base import Engine, EngineConfig
from engine.channel import Channel
from engine.errors import EngineError, Unavailable
from engine.host import Host
from engine.pulse import BEAT
from engine.wire import Failure, encode, failure_of

READ_LIMIT = 1 << 16  # bytes that a connection reads ahead

logger = logging.getLogger(__name__)


def main() -> None:
    """The process, from its first line to its exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # they reach the whole group, and the parent drains first
    fd, path = sys.argv[1:]
    try:
        sys.exit(asyncio.run(_live(int(fd), path)))
    finally:
        shutil.rmtree(Path(path).parent, ignore_errors=True)  # a parent that was killed cannot


async def _live(fd: int, path: str) -> int:
    control = await Channel.adopt(socket.socket(fileno=fd))
    config = await control.receive()
    if config is None:
        return 0
    serving = asyncio.create_task(_serve(EngineConfig(**json.loads(config)), path, control))
    leaving = asyncio.create_task(_parent_gone(control))
    await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
    failed = serving.done()
    serving.cancel()
    leaving.cancel()
    await asyncio.gather(serving, leaving, return_exceptions=True)
    control.close()
    return int(failed)


async def _serve(config: EngineConfig, path: str, control: Channel) -> None:
    """Serve until the engine fails, and tell the parent why."""
    try:
        await _run(config, path, control)
    except EngineError as error:
        control.send(encode(failure_of(error)))
    except Exception as error:  # whatever it was, the parent is told and the process ends
        logger.exception("the engine process failed")
        control.send(encode(Failure(f"{type(error).__name__}: {error}", "unavailable")))


async def _run(config: EngineConfig, path: str, control: Channel) -> None:
    engine = load(config)
    listening = asyncio.Event()
    beating = asyncio.create_task(_beat(engine, control, listening))
    try:
        await engine.start()
        host = Host(engine)
        server = await asyncio.start_unix_server(host.serve, path, limit=READ_LIMIT)
        listening.set()
        control.send(encode(engine.stats()))
        try:
            await asyncio.wait((beating, host.died), return_when=asyncio.FIRST_COMPLETED)
            raise Unavailable(host.died.result() if host.died.done() else beating.result())
        finally:
            server.close()
    finally:
        beating.cancel()
        await engine.close()


async def _beat(engine: Engine, control: Channel, listening: asyncio.Event) -> str:
    """Tell the parent how the engine is, once a second, until it is down; the reason."""
    while (stats := engine.stats()).state != "down":
        control.send(encode(stats if listening.is_set() else replace(stats, state="starting")))
        await asyncio.sleep(BEAT)
    return "the engine failed"


async def _parent_gone(control: Channel) -> None:
    while await control.receive() is not None:
        pass


if __name__ == "__main__":
    main()
