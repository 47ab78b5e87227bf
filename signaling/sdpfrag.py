"""WHIP's trickled candidates: the application/trickle-ice-sdpfrag body (RFC 8840). Pure text work."""

import re
from dataclasses import dataclass

from signaling.errors import BadMessage

CONTENT_TYPE = "application/trickle-ice-sdpfrag"
_LINE = re.compile(r"[a-z]=.*")


@dataclass(frozen=True, slots=True)
class Fragment:
    """Candidates as (media id, candidate line), whether they are all, and the ICE generation they belong to."""

    candidates: tuple[tuple[str, str], ...]
    end: bool = False
    ufrag: str = ""
    pwd: str = ""


def parse(body: str) -> Fragment:
    """The fragment that `body` holds. Raises BadMessage, naming the first line that does not belong.

    The username fragment and password may stand at the session's level or below a media line; clients do both.
    """
    candidates: list[tuple[str, str]] = []
    attributes = {"mid": "0", "ice-ufrag": "", "ice-pwd": ""}
    end = False
    for line in filter(None, (line.strip() for line in body.splitlines())):
        if not _LINE.fullmatch(line):
            raise BadMessage(f"The fragment has a line that is not SDP: {line[:40]!r}.")
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "candidate":
            candidates.append((attributes["mid"], f"candidate:{value}"))
        elif name == "end-of-candidates":
            end = True
        elif line.startswith("a=") and name in attributes:
            attributes[name] = value
    if not candidates and not end and not attributes["ice-ufrag"]:
        raise BadMessage("The fragment holds neither candidates nor an ICE generation.")
    return Fragment(tuple(candidates), end, attributes["ice-ufrag"], attributes["ice-pwd"])
