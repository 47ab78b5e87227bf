"""What holds for every HTTP door: problems as JSON, deadlines, limits, headers, and who is asking."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from media.descriptors import scarce
from signaling import openai_errors
from signaling.auth import Auth, Caller, Grant, Names, Origins, answerable, credential
from signaling.config import Config
from signaling.dialects.native import dumps
from signaling.errors import (
    INTERNAL,
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
HEADER_DEADLINE = 10.0  # seconds for a whole request header
KEEP_ALIVE = 30.0  # seconds for an idle connection
LINGER = 2.0  # seconds of reading on after a refusal, so that it reaches a caller who is still sending
BODY_RATE = 1_000  # bytes a second, at least
BODY_PATIENCE = 5.0  # seconds before that rate is asked for
SEGMENT = 1460  # bytes that a segment may have: what most networks carry
DESCRIPTORS_KEPT = 8  # that connections leave free, for what the server opens for itself, and for saying so
ACCEPTED = 1  # connections taken in one turn of the event loop
WAITING = 128  # that may wait for it
NO_DESCRIPTOR = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

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
    left = request.protocol.left if isinstance(request.protocol, PatientHandler) else None
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
    forwarded = request.headers.get("X-Forwarded-For", "")
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


class PatientHandler(RequestHandler):
    """aiohttp's connection, with a deadline for the request header, which aiohttp leaves open to a slow sender."""

    __slots__ = ("_header_deadline", "left")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._header_deadline: asyncio.TimerHandle | None = None
        self.left: asyncio.Future[None] = self._loop.create_future()  # done once the connection is gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if scarce(transport.get_extra_info("socket").fileno(), DESCRIPTORS_KEPT):
            # asyncio would stop taking connections altogether, and log a traceback for every one that waits.
            assert isinstance(transport, asyncio.Transport)
            transport.write(NO_DESCRIPTOR)
            self.force_close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self._waiter is not None and not self._waiter.done()
        if waiting and self._header_deadline is None:
            self._header_deadline = self._loop.call_later(HEADER_DEADLINE, self.force_close)
        elif not waiting and self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What no handler of ours has seen: a request that is not HTTP (aiohttp would log a traceback and the caller's
        address), or a failure to send an answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer cannot be taken back")
        if status < 500:
            response = problem(status, "bad_request", "The request cannot be read", "Send a request as HTTP has it.")
        else:
            log.error("failed answer", exc_info=exc)
            response = problem(status, INTERNAL.code, INTERNAL.title, f"{INTERNAL.title}.")
        response.headers.update(HEADERS)
        response.force_close()
        return response

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
        self.left.set_result(None)
        super().connection_lost(exc)


class PatientServer(web.Server):
    """Makes a PatientHandler for each connection."""

    def __call__(self) -> RequestHandler:
        return PatientHandler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our deadlines. It writes no access log: that would hold addresses."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
            auto_decompress=False,
            shutdown_timeout=2.0,
        )

    async def listen(self, host: str, port: int) -> None:
        """Take connections there, after `setup`. Raises OSError.

        A sender's kernel keeps room for so many segments. On one machine, where the proxies in front of us are, those
        have 64 KiB, and what we have not read would be half a minute of a caller's audio there, with its pings behind.

        asyncio would take all connections that wait before it looks at the first one: a crowd at once would use up the
        descriptors, with a traceback in the log for each of those who wait, before any of them could be refused.
        """
        site = web.TCPSite(self, host, port, backlog=ACCEPTED)
        await site.start()
        assert isinstance(site._server, asyncio.Server)  # aiohttp makes the sockets, and shows them nowhere else
        for listening in site._server.sockets:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            with socket.socket(fileno=os.dup(listening.fileno())) as shared:
                shared.listen(WAITING)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # An Application makes its Server itself; only the class that it makes connections with differs.
        server.__class__ = PatientServer
        return server
