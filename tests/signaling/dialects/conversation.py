"""Golden files: one caller's conversation in a wire language, from first to last.

    # a remark
    > what the client sends: a text message; or, in binary, '...' as Python writes bytes, or "N x '...'"
    ! what the engine, the media or the session says: a name and its fields as a JSON array
    = what the client's message asks for, or the error that it meets
    < what the server sends

`play` puts a file's inputs, `>` and `!`, through a dialect and writes down what comes of them, `=` and `<`: the file as
it should be. A new message is written as its input; the test's failure shows the rest.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.errors import MediaError
from media.events import Digit, Missed
from signaling.commands import Audio, Command, Message, Say
from signaling.dialects.base import Dialect
from signaling.errors import SignalingError, sentence, wire_error
from signaling.events import Ended, Entry

GOLDEN = Path(__file__).parent / "golden"
EVENTS = {kind.__name__: kind for kind in (Word, WordEnd, Partial, Pause, Step, Mark, Digit, Missed, Ended)}
SHOWN = 4  # samples of a message, at most


def golden(name: str) -> str:
    """The text of a golden file."""
    return (GOLDEN / f"{name}.txt").read_text()


def play(text: str, dialect: Dialect) -> str:
    """A golden file as the dialect makes it."""
    return "".join(f"{line}\n" for line in _played(text, dialect))


def _played(text: str, dialect: Dialect) -> Iterator[str]:
    yield from (f"< {_shown(message)}" for message in dialect.ready("a-session"))
    for seq, line in enumerate(text.splitlines()):
        kind, _, rest = line.partition(" ")
        if kind not in ("=", "<"):
            yield line
        if kind == ">":
            yield from _asked(dialect, _message(rest))
        elif kind == "!":
            name, _, fields = rest.partition(" ")
            entry = Entry(seq, EVENTS[name](*json.loads(fields)))
            yield from (f"< {_shown(message)}" for message in dialect.encode(entry))


def _asked(dialect: Dialect, message: Message) -> Iterator[str]:
    try:
        for command in dialect.decode(message):
            yield f"< {_shown(command.message)}" if isinstance(command, Say) else f"= {_named(command)}"
    except (SignalingError, MediaError) as error:
        code = wire_error(error).code
        yield f"= refused: {code}"
        yield from (f"< {_shown(answer)}" for answer in dialect.error(code, sentence(error)))


def _message(written: str) -> Message:
    """What a line stands for."""
    times, _, binary = written.rpartition(" x ")
    if binary.startswith(("b'", 'b"')):
        return bytes(ast.literal_eval(binary)) * int(times or 1)
    return written


def _shown(message: Message) -> str:
    return message if isinstance(message, str) else repr(message)


def _named(command: Command) -> str:
    if not isinstance(command, Audio):
        return repr(command)
    samples = ", ".join(f"{sample:.4g}" for sample in command.pcm[:SHOWN].tolist())
    more = f", and {len(command.pcm) - SHOWN} more" if len(command.pcm) > SHOWN else ""
    return f"Audio at {command.start:.4g} s: {samples}{more}"
