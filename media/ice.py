"""Where a peer listens, and the STUN and TURN servers as they are configured and as clients are told of them."""

import base64
import hashlib
import hmac
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from media.errors import BadServer
from media.relay import Network

CREDENTIAL_LIFE = 600  # seconds that a client has to begin to use TURN credentials

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_STUN = re.compile(rf"stuns?:{_HOST}(?::([0-9]{{1,5}}))?")  # RFC 7064
_TURN = re.compile(rf"turns?:{_HOST}(?::([0-9]{{1,5}}))?(?:\?transport=(?:udp|tcp))?")  # RFC 7065


@dataclass(frozen=True, slots=True)
class Sockets:
    """The UDP sockets of a peer: one for each address. `addresses` empty means all of the machine's but loopback."""

    ports: tuple[int, int] | None = None  # first and last; None lets the system choose
    addresses: tuple[str, ...] = ()
    loopback: bool = False  # 127.0.0.1 too, and callers' own loopback candidates are used
    public_address: str = ""  # told instead of our own, where a router forwards the ports unchanged
    network: Network | None = None  # a bent one, that everything has to go through; no servers are asked then

    def port_choices(self) -> Iterable[int]:
        """Every allowed port once, from a place chosen by chance, so that calls do not contend for the same one."""
        if self.ports is None:
            return [0]
        first, last = self.ports
        start = random.randint(first, last)
        return [*range(start, last + 1), *range(first, start)]


@dataclass(frozen=True, slots=True)
class IceServer:
    """One or more addresses of a server, `stun:host:port` or `turn:host:port?transport=udp`, and its credentials."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""
    secret: str = ""  # shared with a TURN server; `credentials` then makes short-lived ones and this never leaves

    def __post_init__(self) -> None:
        if not self.urls:
            raise BadServer("an ICE server has one URL or more")
        for url in self.urls:
            _check(url)
        if self.relays and not (self.secret or (self.username and self.credential)):
            raise BadServer("a TURN server needs a username and a credential, or a shared secret")

    @property
    def relays(self) -> bool:
        """Whether it is a TURN server."""
        return any(url.startswith("turn") for url in self.urls)

    def credentials(self, user: str, now: float, life: int = CREDENTIAL_LIFE) -> "IceServer":
        """The same server for one user: with credentials that expire, when there is a shared secret.

        The scheme is coturn's `use-auth-secret` (draft-uberti-behave-turn-rest): the name is `expiry:user` with the
        expiry in seconds of `now`'s epoch, the password its HMAC-SHA1 in base64.
        """
        if not (self.secret and self.relays):
            return replace(self, secret="")
        username = f"{int(now) + life}:{user}"
        digest = hmac.digest(self.secret.encode(), username.encode(), hashlib.sha1)
        return IceServer(self.urls, username, base64.b64encode(digest).decode())

    def as_json(self) -> dict[str, object]:
        """As a browser's `RTCIceServer` has it. A shared secret is not in it."""
        shape: dict[str, object] = {"urls": list(self.urls)}
        if self.username:
            shape |= {"username": self.username, "credential": self.credential}
        return shape

    def as_links(self) -> list[str]:
        """As `Link` headers of WHIP (RFC 9725 section 4.6), one for each URL."""
        extra = ""
        if self.username:
            extra = f"; username={_quoted(self.username)}; credential={_quoted(self.credential)}"
            extra += '; credential-type="password"'
        return [f'<{url}>; rel="ice-server"{extra}' for url in self.urls]


def parse_server(text: str) -> IceServer:
    """Read one server from a setting: `stun:host:port`, or `turn:host:port username credential`, or
    `turn:host:port secret=SECRET`. Raises BadServer naming the fault."""
    url, *words = text.split()[:4] or [""]
    if len(words) == 1 and words[0].startswith("secret="):
        return IceServer((url,), secret=words[0].removeprefix("secret="))
    if len(words) == 2:
        return IceServer((url,), words[0], words[1])
    if words:
        raise BadServer("after an ICE server's URL come a username and a credential, or secret=SECRET, or nothing")
    return IceServer((url,))


def _check(url: str) -> None:
    match = _STUN.fullmatch(url) or _TURN.fullmatch(url)
    if match is None or (match[1] is not None and not 0 < int(match[1]) < 65_536):
        raise BadServer("an ICE server's URL is stun:host:port or turn:host:port?transport=udp")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
