"""Send a recording over real WebRTC to a running server and print its words as they come."""

import argparse
import asyncio
import json
import sys
from typing import Any

from media.caller import RATE
from media.clip import BadClip, read_clip
from offhook.call import Call, CallFailed, call

HELP = "send a recording to a running server and print its words"
LAST_WORDS = 30.0  # seconds for the server to end the call once everything was said


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FILE and how to send it."""
    parser.add_argument("file", metavar="FILE", help="any audio that FFmpeg reads")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the server [default: %(default)s]")
    parser.add_argument("--key", default="", help="an API key, if the server asks for one")
    parser.add_argument("--rtf", type=float, default=1.0, metavar="N", help="send N times faster than real time")
    parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Transcribe; the exit code."""
    if not arguments.rtf > 0:
        print("offhook: --rtf must be more than 0", file=sys.stderr)
        return 2
    try:
        pcm = read_clip(arguments.file, RATE)
        asyncio.run(transcribe(arguments, pcm))
    except (BadClip, CallFailed) as error:
        print(f"offhook: {error}", file=sys.stderr)
        return 1
    return 0


async def transcribe(arguments: argparse.Namespace, pcm: Any) -> None:
    """Speak, print, and ask for the last words when all is said. Raises CallFailed."""
    async with call(arguments.url, pcm, pace=arguments.rtf, key=arguments.key) as live:
        finishing = asyncio.create_task(finish(live))
        show = show_json if arguments.json else Lines().show
        try:
            async for event in live.events():
                show(event)
                if event["type"] == "ended":
                    return
            raise CallFailed("The call was lost before its end.")
        finally:
            finishing.cancel()
            await asyncio.gather(finishing, return_exceptions=True)


async def finish(live: Call) -> None:
    """When everything was said, ask for the last words; hang up when they do not come."""
    await live.finish()
    await asyncio.sleep(LAST_WORDS)
    await live.close()


def show_json(event: dict[str, Any]) -> None:
    """The event as it is, on a line."""
    print(json.dumps(event, ensure_ascii=False), flush=True)


class Lines:
    """Words as people read them: a line for each utterance."""

    def __init__(self) -> None:
        self._begun = False

    def show(self, event: dict[str, Any]) -> None:
        """Add a word to the line, or end it."""
        if event["type"] == "word":
            print(" " * self._begun + event["text"], end="", flush=True)
            self._begun = True
        elif event["type"] in ("pause", "ended") and self._begun:
            print(flush=True)
            self._begun = False
