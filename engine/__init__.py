"""PCM to events. This package knows nothing of RTP or HTTP.

`load` is the table of engines; each is imported only when it is asked for, so that nobody pays for another's
dependencies.
"""

from collections.abc import Callable

from engine.base import Engine, EngineConfig
from engine.errors import Misuse


def _moonshine(config: EngineConfig) -> Engine:
    from engine.moonshine import MoonshineEngine

    return MoonshineEngine(config)


def _moshi(config: EngineConfig) -> Engine:
    from engine.moshi import moshi_engine

    return moshi_engine(config)


def _scripted(config: EngineConfig) -> Engine:
    from engine.scripted import scripted_engine

    return scripted_engine(config)


def _remote(config: EngineConfig) -> Engine:
    from engine.remote import RemoteEngine

    return RemoteEngine(config)


ENGINES: dict[str, Callable[[EngineConfig], Engine]] = {
    "moonshine": _moonshine,
    "moshi": _moshi,
    "scripted": _scripted,
    "remote": _remote,
}


def load(config: EngineConfig) -> Engine:
    """The engine that `config` names, not yet started. Raises Misuse with the names there are."""
    try:
        factory = ENGINES[config.name]
    except KeyError:
        raise Misuse(f"there is no engine {config.name!r}; choose one of {', '.join(sorted(ENGINES))}") from None
    return factory(config)
