"""Who may use this server: API keys, short-lived tokens made from them, origins, and the names it is reached by.

A key may do everything but look at what other keys do; an operator's key may do that too. A token is signed with what
all keys together give, says itself what it is good for, and leaves nothing behind here until a session begins with it.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import unquote, urlsplit

from signaling.errors import ForbiddenOrigin, Unauthorized
from signaling.keys import Key

TOKEN_PREFIX = "ot_"
SECRET_PREFIX = "ek_"  # the same for OpenAI's clients, some of which refuse any other in a browser
TOKEN_LIFETIME = 600  # seconds within which a browser must begin its session
# A browser cannot set a WebSocket's headers, so the token travels as a subprotocol: ours, and OpenAI's.
BEARER_PROTOCOLS = ("bearer.", "openai-insecure-api-key.")
KEY_HEADER = "kyutai-api-key"  # moshi-server's
OTHER_KEY_HEADER = "X-API-Key"  # Transcodio's
QUERIES = ("auth_id", "token")  # moshi-server's, and ours
NO_KEY = Key("")
PREFIXES = (TOKEN_PREFIX, SECRET_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token allows. `key`: the name of the key that made it; `endpoint`: the path that it is good for, with what
    is under it; `expires`: Unix seconds, until when something may be begun; `longest`: seconds of a session, 0 as
    configured; `sessions`: at once, 0 is no limit; `origin`: of the pages that may use it, all where empty; `settings`:
    of the sessions that begin with it, as JSON in their door's language; `lapsed`: it has expired, and is good only for
    what was begun with it."""

    id: str
    key: str
    endpoint: str
    expires: int
    longest: float = 0.0
    sessions: int = 0
    origin: str = ""
    settings: str = ""
    lapsed: bool = False

    def covers(self, path: str) -> bool:
        """Whether it is good for this path."""
        return path == self.endpoint or path.startswith(f"{self.endpoint}/")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the address it comes from, its key (or its token's), and what that allows.

    `key`: the key's name, "" where the server has none; `limit`: the key's sessions at once, 0 is no limit; `left`:
    done once the connection it asks on is gone.
    """

    address: str
    key: str = ""
    limit: int = 0
    operator: bool = False
    grant: Grant | None = None
    left: "asyncio.Future[None] | None" = field(default=None, compare=False, repr=False)


class Auth:
    """Checks credentials against a list of keys. With no keys, everyone is let in."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._secret = _derived(keys)
        self._keys = [replace(key, name=key.name or self._anonymous(key)) for key in keys]
        self._named = {key.name: key for key in self._keys} or {"": NO_KEY}

    def check(
        self, credential: str, now: float, in_use: Callable[[str], bool] = lambda token: False
    ) -> tuple[Key, Grant | None]:
        """The key behind `credential`, and what it allows if it is a token. Raises Unauthorized.

        `in_use`: whether sessions live that the token with this id began. They may go on when it has expired.
        """
        if not self._keys:
            return NO_KEY, None
        if not credential:
            raise Unauthorized("Send a key: Authorization: Bearer KEY.")
        grant = self.read(credential)
        if grant is None:
            return self._find_key(credential), None
        if now < grant.expires:
            return self._named[grant.key], grant
        if in_use(grant.id):
            return self._named[grant.key], replace(grant, lapsed=True)
        raise Unauthorized("The token has expired.")

    def issue(self, grant: Grant, prefix: str = TOKEN_PREFIX) -> str:
        """The token that says this."""
        claims = {name: value for name, value in asdict(grant).items() if value}
        text = _base64(json.dumps(claims, separators=(",", ":")).encode())
        return f"{prefix}{text}.{self._sign(text)}"

    def read(self, credential: str) -> Grant | None:
        """What a token that was signed here, or by a server with the same keys, says, expired or not; None for anything
        else."""
        signed = next((credential.removeprefix(known) for known in PREFIXES if credential.startswith(known)), "")
        text, _, signature = signed.partition(".")
        if not signed or not same(self._sign(text), signature):
            return None
        try:
            grant = Grant(**{"key": "", **json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))})
        except (ValueError, TypeError):
            return None  # of a version with other terms
        return grant if grant.key in self._named else None  # the key has another name since

    def _find_key(self, credential: str) -> Key:
        # Every key is compared, so that the time taken tells nothing about any of them.
        matches = [key for key in self._keys if same(key.secret, credential)]
        if not matches:
            raise Unauthorized("The key or token is wrong.")
        return matches[0]

    def _anonymous(self, key: Key) -> str:
        """A name for a key without one, the same on every machine with these keys, that does not help to guess it."""
        return f"key-{hmac.digest(self._secret, key.secret.encode(), hashlib.sha256).hex()[:8]}"

    def _sign(self, text: str) -> str:
        shown = text.encode("utf-8", "surrogatepass")
        return _base64(hmac.digest(self._secret, b"token:" + shown, hashlib.sha256))


def _derived(keys: Sequence[Key]) -> bytes:
    """What tokens are signed with: made from the keys, so that a token outlives a restart and is good at every machine
    with the same keys; and made slowly, because everyone who is given a token could try guesses at the keys on it."""
    if not keys:
        return secrets.token_bytes(32)
    material = "\n".join(sorted(key.secret for key in keys)).encode()
    return hashlib.scrypt(material, salt=b"offhook browser token", n=2**14, r=8, p=1)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def same(secret: str, shown: str) -> bool:
    """Whether the caller shows the secret, in a time that does not tell how much of it was right."""
    # What a caller shows may hold bytes that are not UTF-8; Python keeps them as lone surrogates.
    return hmac.compare_digest(secret.encode(), shown.encode("utf-8", "surrogatepass"))


def credential(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key or token that a request shows; only the first of the places where there is one counts.

    `kyutai-api-key` comes before `Authorization`, which may be for a proxy on the way, and before the query, as
    moshi-server has it: an empty one is no key. `X-API-Key` may be for a proxy too, so it comes after both.
    """
    if (key := headers.get(KEY_HEADER)) is not None:
        return key.strip()
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if (key := headers.get(OTHER_KEY_HEADER)) is not None:
        return key.strip()
    for protocol in offered(headers):
        for prefix in BEARER_PROTOCOLS:
            if protocol.startswith(prefix):
                return unquote(protocol.removeprefix(prefix))
    return next((query[name] for name in QUERIES if name in query), "")


def offered(headers: Mapping[str, str]) -> list[str]:
    """The WebSocket subprotocols that a request offers."""
    return [part.strip() for part in headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()]


def answerable(headers: Mapping[str, str], known: Sequence[str]) -> list[str]:
    """The subprotocols to choose from for the answer: those that we know. A client that offers nothing but its key is
    answered with that, because browsers end a connection whose offer was left without an answer."""
    names = offered(headers)
    return [name for name in names if name in known] or [name for name in names if name.startswith(BEARER_PROTOCOLS)]


def view_endpoint(session: str) -> str:
    """What the token of someone who may follow this session is good for."""
    return f"/v1/sessions/{session}"


def may_follow(who: Caller, session: str, owner: Caller) -> bool:
    """Whether `who` may follow the session with this id, which `owner` has begun. Where there are no keys, everyone who
    knows the id may: it cannot be guessed."""
    if not who.key or who.operator:
        return True
    if who.grant:
        began = owner.grant is not None and owner.grant.id == who.grant.id
        return began or who.grant.endpoint == view_endpoint(session)
    return who.key == owner.key


class Origins:
    """Which web pages may use the server: its own, and those of the origins named."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, origin: str | None, host: str) -> None:
        """`origin` is the request's Origin header, `host` its Host. Raises ForbiddenOrigin."""
        if not self.allows(origin, host):
            raise ForbiddenOrigin(f"Pages of {origin} may not use this server; its operator can add them to --origins.")

    def allows(self, origin: str | None, host: str) -> bool:
        """Programs send no Origin and are let in: this check protects browsers' users only."""
        if origin is None or "*" in self._allowed or origin in self._allowed:
            return True
        return origin.partition("://")[2] == host


class Names:
    """By which names a server may be addressed that asks nobody for a key, and is safe because only its own machine
    reaches it: by number and as localhost. Any page can have its own name lead to 127.0.0.1 (DNS rebinding): it would
    be of the same origin as the server, and so could use it."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def check(self, host: str) -> None:
        """`host` is the request's Host. Raises ForbiddenOrigin."""
        if is_own(host) or "*" in self._origins or {f"http://{host}", f"https://{host}"} & self._origins:
            return
        raise ForbiddenOrigin(
            f"Without keys this server answers to an IP address or localhost only, and not to {host}: its operator can "
            f"set --keys, add http://{host} to --origins, or say --no-auth."
        )


def is_own(host: str) -> bool:
    """Whether a request's Host is one that no page of others can have: an address, localhost, or none at all."""
    if not host:
        return True  # browsers send one
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
