"""Who may use this server: API keys, short-lived tokens for browsers, and origins."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from signaling.errors import ForbiddenOrigin, Unauthorized

TOKEN_PREFIX = "ot_"
TOKEN = "token"  # in the place of a key's name, where a token was shown
TOKEN_LIFETIME = 600  # seconds within which a browser must begin its session
BEARER_PROTOCOL = "bearer."  # a browser cannot set a WebSocket's headers, so the token travels as a subprotocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the address it comes from, and a short name of its key ("" without one)."""

    address: str
    key: str = ""


class Auth:
    """Checks bearer credentials against a list of keys. With no keys, everyone is let in."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        # Derived from the keys, so that a token outlives a restart and is good at every machine with the same keys.
        material = "\n".join(sorted(keys)).encode() if keys else secrets.token_bytes(32)
        self._secret = hmac.digest(b"offhook browser token", material, hashlib.sha256)

    def check(self, credential: str, now: float) -> str:
        """The name of the key behind `credential` (a key or a token). Raises Unauthorized."""
        if not self._keys:
            return ""
        if not credential:
            raise Unauthorized("Send a key: Authorization: Bearer KEY.")
        if self._is_token(credential, now):
            return TOKEN
        # Every key is compared, so that the time taken tells nothing about any of them.
        matches = [key for key in self._keys if same(key, credential)]
        if not matches:
            raise Unauthorized("The key or token is wrong or has expired.")
        return hashlib.sha256(matches[0].encode()).hexdigest()[:8]

    def issue_token(self, now: float) -> tuple[str, int]:
        """A token for a browser and the time (Unix seconds) when it expires."""
        expires = int(now) + TOKEN_LIFETIME
        return f"{TOKEN_PREFIX}{expires}.{self._sign(str(expires))}", expires

    def _is_token(self, credential: str, now: float) -> bool:
        expires, _, signature = credential.removeprefix(TOKEN_PREFIX).partition(".")
        if not credential.startswith(TOKEN_PREFIX) or not expires.isascii() or not expires.isdigit():
            return False
        return same(self._sign(expires), signature) and now < int(expires[:12])

    def _sign(self, text: str) -> str:
        digest = hmac.digest(self._secret, text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def same(secret: str, shown: str) -> bool:
    """Whether the caller shows the secret, in a time that does not tell how much of it was right."""
    # What a caller shows may hold bytes that are not UTF-8; Python keeps them as lone surrogates.
    return hmac.compare_digest(secret.encode(), shown.encode("utf-8", "surrogatepass"))


def credential(authorization: str, protocols: Sequence[str] = ()) -> str:
    """The bearer credential of a request: of its Authorization header, else of its WebSocket subprotocols."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return next((p.removeprefix(BEARER_PROTOCOL) for p in protocols if p.startswith(BEARER_PROTOCOL)), "")


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
