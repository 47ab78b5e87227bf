"""Serve the page and every door until Ctrl-C or SIGTERM; live calls get their last words."""

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import sys
from typing import Any

from engine import load
from engine.base import Engine
from engine.errors import EngineError
from engine.process import ProcessEngine
from media.impair import PRESETS
from offhook import settings
from offhook.reload import run_reloading
from signaling.app import create_app
from signaling.config import Config, ConfigError, misspelt
from signaling.connections import Runner
from signaling.http import SWITCHBOARD

HELP = "run the server"
DRAIN_MARGIN = 1.0  # seconds that the goodbyes may take beyond the time for the last words
CLOSE_BOUND = 2.0  # seconds for the sockets to close once the calls are over, and then for the engine
HASTY_BOUND = 0.7  # the same after a second signal

log = logging.getLogger("offhook.serve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every setting of Config, with its environment variable and default."""
    settings.add_arguments(parser)
    parser.add_argument("--reload", action="store_true", help="start again when a source file changes (for developers)")


def run(arguments: argparse.Namespace) -> int:
    """Run the server; the exit code."""
    try:
        config = settings.read(arguments)
    except ConfigError as error:
        print(f"offhook: {error}", file=sys.stderr)
        return 2
    if arguments.reload:
        return run_reloading(sys.argv[1:])
    configure_logs(config.log_level)
    for name, meant in misspelt():
        log.warning("%s is no setting and is not looked at: is %s meant?", name, meant)
    raise_descriptor_limit()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(serve(config))
    return 130


async def serve(config: Config) -> int:
    """Start the engine, serve until a signal, drain, close. Prints one sentence when something is missing."""
    engine = make_engine(config)
    signals = Signals()
    asyncio.get_running_loop().set_exception_handler(complain)
    try:
        await until_first(engine.start(), signals.first)
        if signals.first.is_set():
            return 0
        app = create_app(config, engine)
        runner = Runner(app)
        await runner.setup()
        try:
            await listen(runner, config)
            tell(greeting(config, runner, engine))
            if config.impair:
                tell(f"THE NETWORK IS BENT for every call (--impair {config.impair}): {PRESETS[config.impair].about}.")
            await signals.first.wait()
            tell("Ending: live calls get their last words (once more to end at once).")
            drained = within(config.drain_timeout + DRAIN_MARGIN, app[SWITCHBOARD].drain())
            await until_first(drained, signals.second)
        finally:
            app[SWITCHBOARD].hang_up()
            await within(signals.patience, runner.cleanup())
    except (EngineError, ConfigError) as error:
        print(f"offhook: {error}", file=sys.stderr)
        return 1
    finally:
        await within(signals.patience, engine.close())
    return 0


async def listen(runner: Runner, config: Config) -> None:
    """Open the port. Raises ConfigError when it cannot be had."""
    try:
        await runner.listen(config.host, config.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio's own text repeats the address
        raise ConfigError(f"cannot listen on {config.host}:{config.port} ({reason}): set --host or --port") from None


def raise_descriptor_limit() -> None:
    """Allow as many open files as this process may have: a call needs a socket for each address of the machine."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Signals:
    """SIGINT and SIGTERM: the first asks for an end, the second for haste."""

    def __init__(self) -> None:
        self.first, self.second = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._came)

    @property
    def patience(self) -> float:
        """Seconds that each part may take to close."""
        return HASTY_BOUND if self.second.is_set() else CLOSE_BOUND

    def _came(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody else has caught. Connections that wait because no descriptor is left are no surprise: asyncio tries
    again every second, and a line is enough."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
        log.warning("connections wait: %s", error.strerror)
    else:
        loop.default_exception_handler(context)


def make_engine(config: Config) -> Engine:
    """The engine, in a process of its own unless it is remote (and so is already) or the settings say otherwise."""
    if config.engine_process and config.engine != "remote":
        return ProcessEngine(config.engine_config())
    return load(config.engine_config())


def greeting(config: Config, runner: Runner, engine: Engine) -> str:
    """What people see once everything is warm."""
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    places = engine.stats().capacity
    callers = f"{places} caller{'s' * (places != 1)} at once"
    return f"Offhook is listening on http://{shown}:{port} ({config.engine}, {callers}). Ctrl-C ends it."


def tell(sentence: str) -> None:
    """Say it on standard output. Whoever reads there may be gone, as a `tee` is after the same Ctrl-C: calls go on."""
    try:
        print(sentence, flush=True)
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python fails at its end, on what is still unsaid


async def until_first(work: Any, event: asyncio.Event) -> None:
    """Wait for `work`, but give it up when `event` is set. Its error is raised."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def within(seconds: float, work: Any) -> None:
    """Wait for `work` for so long; what then still runs is left to the end of the process, and said."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        log.warning("closing took longer than %.1f s", seconds)


def configure_logs(level: str) -> None:
    """One line an event on standard error. The libraries' own chatter has addresses in it, so it starts at warnings."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for library in ("aiohttp", "aioice", "aiortc", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its warning of a WebSocket that offers unknown subprotocols has the caller's address in it, and what was offered.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
