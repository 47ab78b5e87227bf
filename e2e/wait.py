"""Waiting for what another process can only be asked about."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.05  # seconds between two questions


def until(ask: Callable[[], T], wanted: T, seconds: float = 5.0) -> None:
    """Ask until the answer is `wanted`. Raises AssertionError with the last answer."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) != wanted:
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s, not {wanted!r}"
        time.sleep(PAUSE)
