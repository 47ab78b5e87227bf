"""Every engine keeps the contract. A new engine is one line in CASES."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from engine.base import Engine, EngineConfig
from engine.moshi import moshi_engine
from engine.process import ProcessEngine
from engine.remote import RemoteEngine
from engine.scripted import WORDS, say, scripted_engine
from tests.engine.contract import Case, Clip, EngineContract
from tests.engine.digits import WORDS as DIGITS
from tests.engine.digits import recite
from tests.engine.moshi_server import KEY, moshi_server

TINY = Path(__file__).parent / "tiny"


def tones() -> Sequence[Clip]:
    """Five clips for the scripted engine that share no word."""
    return [Clip(say(WORDS[start : start + 4]), WORDS[start : start + 4]) for start in range(0, 20, 4)]


def started(
    make: Callable[[EngineConfig], Engine], name: str = "scripted"
) -> Callable[[int], AbstractAsyncContextManager[Engine]]:
    """An engine by its factory, on the scripted model or another."""

    @asynccontextmanager
    async def running(capacity: int) -> AsyncIterator[Engine]:
        engine = make(EngineConfig(name, capacity=capacity, model=str(TINY)))
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()

    return running


def remote(*, ours: bool, busy: bool = False) -> Callable[[int], AbstractAsyncContextManager[Engine]]:
    """A client of a moshi-server, which may offer our own language, or have other callers."""

    @asynccontextmanager
    async def running(capacity: int) -> AsyncIterator[Engine]:
        async with moshi_server(capacity, ours=ours, busy=busy) as server:
            engine = RemoteEngine(EngineConfig("remote", remote_urls=(server.url,), remote_key=KEY))
            await engine.start()
            try:
                yield engine
            finally:
                await engine.close()

    return running


def digits() -> Sequence[Clip]:
    """Five clips for the moshi engine's tiny model that share no word."""
    pairs = [DIGITS[start : start + 2] for start in range(0, 10, 2)]
    return [Clip(recite(pair), pair) for pair in pairs]


CASES = {
    "scripted": Case(started(scripted_engine), tones),
    "process": Case(started(ProcessEngine), tones),
    "moshi": Case(started(moshi_engine, "moshi"), digits),
    "remote-moshi-server": Case(remote(ours=False), tones),
    "remote-busy-moshi-server": Case(remote(ours=False, busy=True), tones),
    "remote-offhook": Case(remote(ours=True), tones),
}


class TestContract(EngineContract):
    """The contract, for each engine."""

    @pytest.fixture(params=list(CASES.values()), ids=list(CASES))
    def case(self, request: pytest.FixtureRequest) -> Case:
        case = request.param
        assert isinstance(case, Case)
        return case
