"""What can go wrong with an engine, and who is to blame.

EngineError
├── Full          every place is taken: the caller may try again            (nobody's fault)
├── Unavailable   the engine is not there: starting, dead, closed           (ours)
├── Overrun       a reader left too many events unread                      (the reader's)
└── Misuse        audio of the wrong shape, a verb after `finish`           (the calling code's)
"""


class EngineError(Exception):
    """The base of every error that an engine raises on purpose."""


class Full(EngineError):
    """Every place is taken. The words are moshi-server's, which its clients look for."""

    def __init__(self, message: str = "no free channels") -> None:
        super().__init__(message)


class Unavailable(EngineError):
    """The engine cannot serve: it has not started, has died, or was closed. The message says which."""


class Overrun(EngineError):
    """More events wait for the stream's reader than are kept."""


class Misuse(EngineError):
    """The caller broke the contract; the message names the rule."""
