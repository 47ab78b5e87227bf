"""Where a remote engine is. Pure."""

from yarl import URL

from engine.errors import Misuse

PATH = "/api/asr-streaming"  # moshi-server's


def address(url: str) -> URL:
    """The WebSocket's address; of a bare server address, moshi-server's. Raises Misuse."""
    try:
        parsed = URL(url)
        port = parsed.port
    except ValueError:
        port = None
    if not port or parsed.scheme not in ("http", "https", "ws", "wss") or not parsed.host:
        raise Misuse("a remote engine's address must be like ws://host:8080/api/asr-streaming")
    return parsed.with_path(PATH, keep_query=True) if parsed.path in ("", "/") else parsed
