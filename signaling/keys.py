"""API keys as an operator writes them: KEY, NAME:KEY or NAME:KEY:LIMIT. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# What a header, a URL and a shell all carry. A comma and a colon part keys; a percent sign is what pages escape with.
KEY_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=!@$*^|-]{8,256}")
NAME_CHARACTERS = re.compile(r"[A-Za-z0-9._-]{1,64}")
LIMIT = re.compile(r"[1-9][0-9]{0,5}")


class BadKey(ValueError):
    """A key that cannot be used. The message says what to write, and never holds what was written."""


@dataclass(frozen=True, slots=True)
class Key:
    """One API key. `name`: for lists and figures; `limit`: its sessions at once, 0 is no limit; `operator`: whether it
    may list and follow every session."""

    secret: str = field(repr=False)
    name: str = ""
    limit: int = 0
    operator: bool = False


def parse_key(text: str, *, operator: bool = False) -> Key:
    """A key from its text. Raises BadKey."""
    match text.split(":"):
        case [secret]:
            return Key(_secret(secret), operator=operator)
        case [name, secret]:
            return Key(_secret(secret), _name(name), operator=operator)
        case [name, secret, limit]:
            return Key(_secret(secret), _name(name), _limit(limit), operator)
    raise BadKey("write each key as KEY, NAME:KEY or NAME:KEY:LIMIT")


def _secret(text: str) -> str:
    if not KEY_CHARACTERS.fullmatch(text):
        raise BadKey("each key must be 8 or more letters, digits or any of . _ ~ + / = ! @ $ * ^ | -")
    return text


def _name(text: str) -> str:
    if not NAME_CHARACTERS.fullmatch(text):
        raise BadKey("a key's name is 1 to 64 letters, digits, '.', '_' or '-'")
    return text


def _limit(text: str) -> int:
    if not LIMIT.fullmatch(text):
        raise BadKey("a key's limit is how many sessions it may have at once: 1 or more, or left out")
    return int(text)


def check_together(keys: Iterable[Key]) -> None:
    """Several keys may share a name (while one replaces another), and then share its limit. Raises BadKey."""
    secrets: set[str] = set()
    named: dict[str, tuple[int, bool]] = {}
    for key in keys:
        if key.secret in secrets:
            raise BadKey("one key is there twice")
        secrets.add(key.secret)
        if key.name and named.setdefault(key.name, (key.limit, key.operator)) != (key.limit, key.operator):
            raise BadKey(f"the keys named {key.name} differ in their limit, or in being an operator's")
