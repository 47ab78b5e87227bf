"""`POST /v1/tokens`: short-lived tokens in exchange for a key, so that no key ever reaches a browser."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from signaling import http
from signaling.auth import TOKEN_LIFETIME, Caller, Grant, view_endpoint
from signaling.dialects.native import loads
from signaling.errors import BadMessage, Unauthorized
from signaling.http import AUTH, SWITCHBOARD

PATH = "/v1/tokens"
PAGE = "/v1/signal"  # what a token is for when nothing is said: the page's client
VIEW_LIFETIME = 3_600  # seconds within which a listener may begin, and come back: as long as most calls
MOST = 1_000_000  # of sessions at once, and of seconds: anything above is a mistake
ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]{1,255}")
BEGIN = frozenset({"endpoint", "expires_in", "max_session", "sessions", "origin"})
VIEW = frozenset({"view", "expires_in", "origin"})


async def post(request: web.Request) -> web.Response:
    """A token with the terms that the body asks for. Raises Unauthorized, UnknownSession or BadMessage."""
    who = http.caller(request)
    if who.grant:
        raise Unauthorized("A token makes no further tokens; send a key.")
    asked = loads(await http.read_text(request, "application/json"), http.BODY_LIMIT) if request.can_read_body else {}
    now = int(http.unix_time())
    if "view" in asked:
        grant = _view(asked, who, now)
        request.app[SWITCHBOARD].check_viewer(who, asked["view"])
        said = {"view": asked["view"]}
    else:
        grant = _begin(asked, who, now, _endpoints(request.app))
        said = {"endpoint": grant.endpoint}
    body = {"token": request.app[AUTH].issue(grant), "expires_at": grant.expires, **said}
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def _begin(asked: Mapping[str, Any], who: Caller, now: int, endpoints: frozenset[str]) -> Grant:
    """What a token allows that begins sessions. Raises BadMessage."""
    _check_names(asked, BEGIN)
    endpoint = asked.get("endpoint", PAGE)
    if not isinstance(endpoint, str) or endpoint not in endpoints:
        raise BadMessage(f"The endpoint must be a path of this server where sessions begin, such as {PAGE}.")
    return Grant(
        id=secrets.token_urlsafe(9),
        key=who.key,
        endpoint=endpoint,
        expires=now + _whole(asked, "expires_in", TOKEN_LIFETIME, TOKEN_LIFETIME),
        longest=_whole(asked, "max_session", 0, MOST),
        sessions=_whole(asked, "sessions", 0, MOST),
        origin=_origin(asked),
    )


def _view(asked: Mapping[str, Any], who: Caller, now: int) -> Grant:
    """What a token allows that only listens to one session. Raises BadMessage."""
    _check_names(asked, VIEW)
    session = asked["view"]
    if not isinstance(session, str):
        raise BadMessage("The view must be the id of a session.")
    return Grant(
        id=secrets.token_urlsafe(9),
        key=who.key,
        endpoint=view_endpoint(session),
        expires=now + _whole(asked, "expires_in", VIEW_LIFETIME, VIEW_LIFETIME),
        origin=_origin(asked),
    )


def _endpoints(app: web.Application) -> frozenset[str]:
    """The paths that a token can be for: each that the server has, but this one and those with an id in them."""
    paths = {resource.canonical for resource in app.router.resources()}
    return frozenset(path for path in paths if "{" not in path and path != PATH)


def _check_names(asked: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(asked.keys() - known):
        raise BadMessage(f"There is no {unknown[0][:40]!r} here; there are {', '.join(sorted(known))}.")


def _whole(asked: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = asked.get(name, default)
    if name in asked and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
        raise BadMessage(f"The {name} must be a whole number from 1 to {most}.")
    return int(value)


def _origin(asked: Mapping[str, Any]) -> str:
    origin = asked.get("origin", "")
    if "origin" in asked and not (isinstance(origin, str) and ORIGIN.fullmatch(origin)):
        raise BadMessage("The origin must be as browsers send it, such as https://example.org.")
    return str(origin)
