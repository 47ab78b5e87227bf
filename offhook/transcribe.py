"""Turn recordings into text, subtitles or JSON, faster than they were spoken; with --url by calls to a server."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from offhook import settings
from offhook.calling import Calling
from offhook.formats import FORMATS
from offhook.hearing import Hearing
from offhook.outputs import Directory, NotWritten, Standard, names
from offhook.progress import Progress
from offhook.recordings import STDIN, Recording, recordings
from offhook.serve import make_engine
from offhook.transcribing import Form, Lines, Transcribing
from signaling.config import Config, ConfigError
from signaling.transcription import Transcript

HELP = "turn recordings into text or subtitles"
ENGINE_SETTINGS = (
    *("engine", "capacity", "workers", "engine_process", "remote_url", "remote_key", "model", "temperature"),
    *("timestamps", "files"),
)
CALL_OPTIONS = ("key", "rtf", "json")
SUBTITLES = ("srt", "vtt")
ABOUT = {"moonshine": {"language": "en"}}  # what is known of all that an engine hears


class WrongUse(Exception):
    """Options that do not go together; the message says which."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, where their texts go, and who hears them."""
    parser.add_argument("paths", metavar="FILE", nargs="+", help="audio, or video with sound; - is standard input")
    parser.add_argument("-o", dest="directory", metavar="DIR", type=Path, help="write a file for each into DIR")
    parser.add_argument("--format", choices=tuple(FORMATS), help="what is written [default: txt]")
    parser.add_argument("--force", action="store_true", help="replace files that are in DIR already")
    parser.add_argument("--quiet", action="store_true", help="tell only what went wrong")
    calls = parser.add_argument_group("by calls to a running server, one after the other")
    calls.add_argument("--url", help="the server, such as http://127.0.0.1:8080")
    calls.add_argument("--key", help="an API key, if the server asks for one")
    calls.add_argument("--rtf", type=float, metavar="N", help="send N times faster than real time [default: 1]")
    calls.add_argument("--json", action="store_true", default=None, help="print every event as a line of JSON")
    settings.add_arguments(parser.add_argument_group("without a server"), ENGINE_SETTINGS)


def run(arguments: argparse.Namespace) -> int:
    """Transcribe; the exit code: 0 all, 1 not all, 2 wrong use, 130 interrupted."""
    try:
        check(arguments)
        config = settings.read(arguments, ENGINE_SETTINGS)
        with ExitStack() as stack:
            return transcribe(arguments, config, recordings(arguments.paths, stack))
    except (WrongUse, ConfigError) as error:
        complaint, code = str(error), 2
    except (NotWritten, EngineError) as error:
        complaint, code = str(error), 1
    print(f"offhook: {complaint}", file=sys.stderr)
    return code


def check(arguments: argparse.Namespace) -> None:
    """Raises WrongUse for options that do not go together."""
    if arguments.rtf is not None and not arguments.rtf > 0:
        raise WrongUse("--rtf must be more than 0")
    others = ENGINE_SETTINGS if arguments.url is not None else CALL_OPTIONS
    given = [settings.option(name) for name in others if getattr(arguments, name) is not None]
    if given:
        raise WrongUse(f"{given[0]} goes only {'without' if arguments.url is not None else 'with'} --url")
    if arguments.json and (arguments.directory or arguments.format):
        raise WrongUse("--json prints events and no transcript: leave out -o and --format")
    if arguments.format in SUBTITLES and len(arguments.paths) > 1 and not arguments.directory:
        raise WrongUse("subtitles of several files cannot go into one: set -o DIR")
    check_stdin(arguments.paths)


def check_stdin(paths: list[str]) -> None:
    """Raises WrongUse where standard input is asked for and cannot be read."""
    if paths.count(STDIN) > 1:
        raise WrongUse("- is standard input, which can be read once")
    if STDIN in paths and (sys.stdin is None or sys.stdin.isatty()):
        raise WrongUse("- is standard input: send a recording there, as in: offhook transcribe - < FILE")


def transcribe(arguments: argparse.Namespace, config: Config, files: list[Recording]) -> int:
    """All files; the exit code. Raises NotWritten, EngineError, and KeyboardInterrupt when it has told what is done."""
    with progress_of(arguments) as progress:
        standard = Standard(progress.say, titles_of(arguments, files))
        output = directory_of(arguments, files) or standard
        work = Transcribing(files, form_of(arguments, config, standard), output, progress)
        try:
            if work.reject():
                asyncio.run(by_calls(arguments, work, standard) if arguments.url is not None else here(config, work))
        except KeyboardInterrupt:
            progress.complain(f"offhook: interrupted: {work.done} of {len(files)} done")
            raise
        finally:
            standard.rest()
    return 1 if work.failed else 0


async def here(config: Config, work: Transcribing) -> None:
    """By an engine of our own, with as many places as are of use. Raises EngineError when it cannot start."""
    at_once = min(work.left, config.files)
    engine = make_engine(replace(config, capacity=config.capacity or at_once))  # given, it need not be measured
    try:
        await engine.start()
        hearing = Hearing(engine, shared=config.engine == "remote")
        await work.run(hearing, max(1, min(at_once, engine.stats().free)))
    finally:
        await engine.close()


async def by_calls(arguments: argparse.Namespace, work: Transcribing, standard: Standard) -> None:
    """By a server that runs: one call at a time, since its places are for others too."""

    def watch(fields: Mapping[str, Any]) -> None:
        if arguments.json:
            standard.piece(f"{json.dumps(fields, ensure_ascii=False)}\n")

    await work.run(Calling(arguments.url, arguments.key or "", arguments.rtf or 1.0, watch), 1)


def form_of(arguments: argparse.Namespace, config: Config, standard: Standard) -> Form:
    """What is written. One text on standard output is told while it is made."""
    about = {} if arguments.url is not None else ABOUT.get(config.engine, {})
    if arguments.json:
        return Form(_nothing)
    kind = arguments.format or "txt"
    if kind == "txt" and len(arguments.paths) == 1 and not arguments.directory:
        return Form(_nothing, live=Lines(standard.piece, each=arguments.url is not None).hear)
    return Form(FORMATS[kind], about)


def titles_of(arguments: argparse.Namespace, files: list[Recording]) -> list[str]:
    """What stands above each text on standard output, where several texts do."""
    is_text = not arguments.json and arguments.format in (None, "txt")
    return [file.name for file in files] if is_text and len(files) > 1 else []


def directory_of(arguments: argparse.Namespace, files: list[Recording]) -> Directory | None:
    """Where the transcripts go, if not to standard output. Raises NotWritten."""
    if not arguments.directory:
        return None
    called = names([file.stem for file in files], arguments.format or "txt")
    inputs = [file.source for file in files if isinstance(file.source, Path)]
    return Directory(arguments.directory, called, inputs, force=arguments.force)


def progress_of(arguments: argparse.Namespace) -> Progress:
    """A bar on a terminal, unless the words of a call come there; elsewhere a line for each file, unless the words of
    the only one are on standard output; with --quiet neither."""
    alone = len(arguments.paths) == 1 and not arguments.directory
    spoken = alone and arguments.url is not None and sys.stdout.isatty()
    bar = sys.stderr.isatty() and not spoken
    return Progress(bar=bar and not arguments.quiet, lines=not (bar or alone or arguments.quiet))


def _nothing(_: Transcript, __: Mapping[str, str]) -> str:
    return ""
