"""What holds for every HTTP door: problems as JSON, limits, headers, and who is asking."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from signaling import openai_errors
from signaling.auth import Auth, Caller, Grant, Names, Origins, answerable, credential
from signaling.config import Config
from signaling.dialects.native import dumps
from signaling.errors import (
    BadMessage,
    ForbiddenOrigin,
    SignalingError,
    TooLarge,
    Unauthorized,
    retry_after,
    sentence,
    wire_error,
)
from signaling.metrics import Metrics
from signaling.switchboard import Switchboard

log = logging.getLogger("offhook.http")

BODY_LIMIT = 64 * 1024  # bytes: an SDP
BODY_RATE = 1_000  # bytes a second, at least
BODY_PATIENCE = 5.0  # seconds before that rate is asked for

CONFIG = web.AppKey("config", Config)
AUTH = web.AppKey("auth", Auth)
ORIGINS = web.AppKey("origins", Origins)
NAMES = web.AppKey("names", Names)
SWITCHBOARD = web.AppKey("switchboard", Switchboard)
METRICS = web.AppKey("metrics", Metrics)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Server": "Offhook",  # and not the versions of what it is made of
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
}


def caller(request: web.Request) -> Caller:
    """Who asks, after the key or token was checked. Raises Unauthorized or ForbiddenOrigin."""
    app, headers = request.app, request.headers
    app[NAMES].check(headers.get("Host", ""))
    app[ORIGINS].check(headers.get("Origin"), request.host)
    shown = credential(headers, request.query)
    key, grant = app[AUTH].check(shown, unix_time(), app[SWITCHBOARD].has_begun)
    if grant:
        _check_grant(grant, request)
    operator = key.operator and grant is None
    left = getattr(request.protocol, "left", None)  # a PatientHandler's (signaling/connections.py)
    return Caller(address(request), key.name, key.limit, operator, grant, left)


def is_operator(request: web.Request) -> bool:
    """Whether an operator asks, where others may too."""
    try:
        return caller(request).operator
    except SignalingError:
        return False


def viewer(request: web.Request, session: str) -> Caller:
    """Who asks to follow the session with this id, after it was checked that they may. Raises Unauthorized,
    ForbiddenOrigin or UnknownSession."""
    who = caller(request)
    request.app[SWITCHBOARD].check_viewer(who, session)
    return who


def _check_grant(grant: Grant, request: web.Request) -> None:
    """A token is good at one endpoint, and for one origin's pages where it says so."""
    if not grant.covers(request.rel_url.raw_path):
        raise Unauthorized(f"This token is for {grant.endpoint} only.")
    if grant.origin and request.headers.get("Origin") != grant.origin:
        raise ForbiddenOrigin(f"This token is for pages of {grant.origin} only.")


def protocols(request: web.Request, *known: str) -> list[str]:
    """The subprotocols that the answer to a WebSocket may name (`WebSocketResponse`'s `protocols`)."""
    return answerable(request.headers, known)


def unix_time() -> float:
    """Wall-clock seconds: tokens outlive processes, so they cannot use the event loop's clock."""
    return time.time()


def address(request: web.Request) -> str:
    """Where the request comes from; a named proxy is believed about who is behind it."""
    remote = request.remote or ""
    # A proxy adds to what the caller said itself: to the line, or a line behind it.
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
    if forwarded and remote in request.app[CONFIG].trusted_proxies:
        return forwarded.rpartition(",")[2].strip()
    return remote


async def read_text(request: web.Request, content_type: str, limit: int = BODY_LIMIT) -> str:
    """The request's body. Raises TooLarge or BadMessage, and answers 415 to another type and 408 to a slow sender."""
    if request.content_type != content_type:
        raise web.HTTPUnsupportedMediaType(text=f"Send the body as Content-Type: {content_type}.")
    if (request.content_length or 0) > limit:
        raise TooLarge(f"The body may have {limit} bytes.")
    body = bytearray()
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while True:
            async with asyncio.timeout_at(began + BODY_PATIENCE + len(body) / BODY_RATE):
                chunk = await request.content.readany()
            if not chunk:
                break
            body += chunk
            if len(body) > limit:
                raise TooLarge(f"The body may have {limit} bytes.")
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body must come at {BODY_RATE} bytes a second or faster.") from None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadMessage("The body is not UTF-8 text.") from None


def problem(status: int, code: str, title: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON problem (RFC 9457)."""
    text = dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code})
    body = text.encode("utf-8", "replace")  # the detail may repeat what a caller sent, which need not be UTF-8
    return web.Response(
        status=status, body=body, content_type="application/problem+json", charset="utf-8", headers=headers
    )


def refused(
    request: web.BaseRequest, status: int, code: str, title: str, detail: str, headers: dict[str, str] | None = None
) -> web.Response:
    """A refusal as the clients of this path read it."""
    if openai_errors.is_openais(request.path):
        return openai_errors.answer(status, code, detail, headers)
    return problem(status, code, title, detail, headers)


def upgrade_required(request: web.BaseRequest) -> web.Response:
    """The answer to a request that is no WebSocket's, where only those are served."""
    title, detail = "A WebSocket is needed", "Connect with a WebSocket client."
    return refused(request, 426, "upgrade_required", title, detail, {"Upgrade": "websocket"})


def refusal(request: web.BaseRequest, error: Exception) -> web.Response:
    """The answer to a request that failed with `error`."""
    known = wire_error(error)
    headers: dict[str, str] = {}
    if (wait := retry_after(error)) is not None:
        headers["Retry-After"] = str(wait)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ForbiddenOrigin):
        headers["Access-Control-Allow-Origin"] = "*"  # so that the page can read why it was refused
    if isinstance(error, openai_errors.BadParameter):
        return openai_errors.answer(known.status, error.code, sentence(error), headers, error.param)
    return refused(request, known.status, known.code, known.title, sentence(error), headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes a problem; one that is ours is logged, and told without its text."""
    try:
        if "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType(text="Send the body without Content-Encoding.")
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        return preflight() if request.method == "OPTIONS" else _http_refusal(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_refusal(request, error)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:  # the outermost place: told by the table, and logged when it is ours
        if wire_error(error).status == 500:
            log.error("failed path=%s", request.match_info.route.resource, exc_info=error)
        request.app[METRICS].refused(error)
        return refusal(request, error)


def _http_refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    code = error.reason.lower().replace(" ", "_")
    detail = error.text if error.text and not error.text.startswith(f"{error.status}:") else error.reason + "."
    return refused(request, error.status, code, error.reason, detail, headers)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The security headers of every answer, and the CORS ones for pages whose origin is allowed. An answer's own policy
    is kept."""
    policy = response.headers.get("Content-Security-Policy", HEADERS["Content-Security-Policy"])
    response.headers.update({**HEADERS, "Content-Security-Policy": policy})
    origin = request.headers.get("Origin")
    if origin and request.app[ORIGINS].allows(origin, request.host):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Location, ETag, Link, Retry-After, Offhook-Warning"
        response.headers["Vary"] = "Origin"


PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",  # every page may ask, and reads in the answer that its origin is refused
    "Access-Control-Allow-Methods": "OPTIONS, GET, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, Kyutai-Api-Key, Last-Event-ID, "
    "OpenAI-Beta, X-API-Key, X-OpenAI-Agents-SDK, *",  # OpenAI's client for browsers has a dozen more
}


def preflight() -> web.Response:
    """What a page of another origin may send (a CORS preflight). `caller` refuses origins, not this."""
    return web.Response(status=204, headers=PREFLIGHT)
