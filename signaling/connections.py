"""The connections below every HTTP door: aiohttp's, with the deadlines and bounds that it leaves open.

What lies in the kernel for a connection counts too: unread audio, and events for a reader who does not read.
"""

import asyncio
import logging
import os
import socket
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from media.descriptors import scarce
from signaling.errors import INTERNAL
from signaling.http import HEADERS, problem

log = logging.getLogger("offhook.http")

HEADER_DEADLINE = 10.0  # seconds for a whole request header
KEEP_ALIVE = 30.0  # seconds for an idle connection
LINGER = 2.0  # seconds of reading on after a refusal, so that it reaches a caller who is still sending
SEGMENT = 1460  # bytes that a segment may have: what most networks carry
DESCRIPTORS_KEPT = 8  # that connections leave free, for what the server opens for itself, and for saying so
ACCEPTED = 1  # connections taken in one turn of the event loop
WAITING = 128  # that may wait for it
UNREAD = 32 * 1024  # bytes that the kernel keeps for a connection that is bounded, each way; Linux doubles it
NO_DESCRIPTOR = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


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

    async def _drain_helper(self) -> None:
        """Wait until there is room to write (aiohttp calls this after each write that does not fit).

        aiohttp lets all who write on a connection wait for one future. Whoever gives up waiting cancels it for the
        others, and for everyone who writes later, as if they had been told to stop. To be removed once aiohttp shields
        it; a test shows it.
        """
        if not self._paused or self.transport is None:
            await super()._drain_helper()
            return
        if self._drain_waiter is None:
            self._drain_waiter = self._loop.create_future()
            self._drain_waiter.add_done_callback(asyncio.Future.exception)  # asked for, should nobody wait any more
        await asyncio.shield(self._drain_waiter)

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
            if not isinstance(exc, ConnectionError):  # that a client has gone is nobody's fault
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


def bound_sending(below: asyncio.BaseTransport) -> None:
    """Let no more wait in the kernel for a caller who does not read: the buffer would grow to megabytes."""
    below.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)


def bound(below: asyncio.BaseTransport) -> None:
    """Let no more wait in the kernel, either way, than a conversation needs.

    What comes would be megabytes too, with the sender's buffer, which grows with the window that ours lets it have:
    minutes of audio. With segments of the usual size, which `Runner.listen` asks for, a sender has 0.7 MB on the way
    like this at most, which is 7 s of float32.
    """
    bound_sending(below)
    below.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD)
