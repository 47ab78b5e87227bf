"""What the bench and a receiver's process say to each other: lines of JSON, with raw bytes behind them."""

import asyncio
import json
from typing import Any

LONGEST_LINE = 2**24  # bytes


async def write(writer: asyncio.StreamWriter, message: dict[str, Any], body: bytes = b"") -> None:
    """Send a message and its bytes."""
    writer.write(json.dumps({**message, "bytes": len(body)}).encode() + b"\n" + body)
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """The next message and its bytes. Raises EOFError (IncompleteReadError) when the other side is gone."""
    message: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
    return message, await reader.readexactly(message.pop("bytes"))
