"""HTTP as hostile and careless clients speak it, at a real server."""

import asyncio
import gzip
import json
import logging
import os
import resource
import statistics
from typing import Any

import pytest

from engine.errors import Full
from signaling import connections, http
from signaling.auth import Caller
from signaling.switchboard import Terms
from tests.media.offers import CHROME
from tests.signaling.house import Footprint, House, OpenHouse, until

Answer = tuple[int, dict[str, str], bytes]


async def raw(house: House, data: bytes, within: float = 5.0) -> Answer:
    """Send bytes as they are and read one answer; status 0 when the connection is closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        async with asyncio.timeout(within):
            writer.write(data)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            return int(head[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, {}, b""
    finally:
        writer.close()


async def get(house: House, path: str, **headers: str) -> tuple[int, Any, str]:
    async with house.http.get(f"{house.url}{path}", headers=headers) as response:
        return response.status, response.headers, await response.text()


# Slow and silent clients


async def test_a_header_that_comes_too_slowly_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_DEADLINE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


async def test_one_line_at_a_time_does_not_move_the_deadline(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_DEADLINE", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    reading = asyncio.create_task(reader.read())
    writer.write(b"GET /health HTTP/1.1\r\n")
    async with asyncio.timeout(2):
        while not reading.done():
            writer.write(b"X-Slow: 1\r\n")
            await asyncio.wait((reading,), timeout=0.05)
    writer.close()


async def test_a_quick_header_is_not_cut_off_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_DEADLINE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    for _ in range(2):
        writer.write(b"GET /ready HTTP/1.1\r\n")
        writer.write(b"Host: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert head.startswith(b"HTTP/1.1 200")
        assert json.loads(await reader.readuntil(b"}"))["ready"]
        closing = asyncio.create_task(reader.read(1))
        assert not (await asyncio.wait((closing,), timeout=0.3))[0]
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
    writer.close()


async def test_a_body_that_comes_too_slowly_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.2)
    header = b"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 5000\r\n\r\n"
    status, _, body = await raw(house, header + b"v=0\r\n")
    assert status == 408
    assert json.loads(body)["code"] == "request_timeout"


async def test_a_connection_that_says_nothing_is_closed(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.2)
    house = await open_house()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


async def test_many_idle_connections_slow_nobody(house: House) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard > 0 else 4096, hard))
    writers = [(await asyncio.open_connection("127.0.0.1", house.port))[1] for _ in range(500)]
    await until(lambda: house.connections >= 500)
    loop, times = asyncio.get_running_loop(), []
    for _ in range(20):
        began = loop.time()
        assert (await house.health())["status"] == "ok"
        times.append(loop.time() - began)
    for writer in writers:
        writer.close()
    await until(lambda: house.connections <= 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert statistics.median(times) < 0.1


async def test_a_server_without_descriptors_says_so_and_recovers(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = os.open(os.devnull, os.O_RDONLY)  # the lowest descriptor that is free now: the caller takes it,
    os.close(first)  # and the server, in the same process, the next
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + 1 + connections.DESCRIPTORS_KEPT, hard))
    try:
        status, headers, _ = await raw(house, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (status, headers["retry-after"]) == (503, "5")
    assert (await house.health())["status"] == "ok"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# What is refused


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_problem_and_no_complaint_in_the_log(
    house: House, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, headers, body = await raw(house, request_bytes)
    assert (status, json.loads(body)["code"], headers["server"]) == (400, "bad_request", "Offhook")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "x"])
@pytest.mark.parametrize("path", ["/whip", "/health", "/nowhere"])
async def test_encoded_bodies_are_refused_unread(house: House, encoding: str, path: str) -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    headers = {"Content-Encoding": encoding, "Content-Type": "application/sdp"}
    async with house.http.post(f"{house.url}{path}", data=bomb, headers=headers, compress=False) as response:
        assert response.status == 415
        assert (await response.json())["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1", 404),
        ("POST", "/health", 405),
        ("DELETE", "/", 405),
        ("PUT", "/whip", 405),
        ("GET", "/v1/tokens", 405),
        ("HEAD", "/whip/x/events", 405),
    ],
)
async def test_what_is_not_there_is_a_problem(house: House, method: str, path: str, status: int) -> None:
    async with house.http.request(method, f"{house.url}{path}") as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert ("Allow" in response.headers) == (status == 405)
        if method != "HEAD":
            assert (await response.json())["status"] == status


@pytest.mark.parametrize(
    "path",
    [
        "/../signaling/app.py",
        "/..%2fsignaling%2fapp.py",
        "/%2e%2e/pyproject.toml",
        "/./../../etc/passwd",
        "//etc/passwd",
        "/index.html/../../pyproject.toml",
        "/offhook.js%00.html",
        "/__init__.py",
        "/style.css/",
        "/.git/config",
    ],
)
async def test_only_the_pages_files_are_served(house: House, path: str) -> None:
    status, _, body = await raw(house, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status in (400, 404)
    assert b"import" not in body
    assert b"root:" not in body


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\nContent-Length: 1\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 999999999\r\n\r\n",
        b"GET /whip/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /v1/signal HTTP/1.1\r\nHost: x\r\nOrigin: http://\xff\xfe\r\n\r\n",
        b"GET /whip/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/signal HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_broken_http_never_costs_more_than_its_own_connection(open_house: OpenHouse, data: bytes) -> None:
    house = await open_house(keys=("a-key-of-somebody",))
    await house.health()
    before = Footprint()
    status, _, body = await raw(house, data)
    assert status == 0 or 400 <= status < 500
    assert b"Traceback" not in body
    assert b".py" not in body
    assert (await house.health())["status"] == "ok"
    await until(lambda: Footprint().within(before))


async def test_chunks_are_counted_too(house: House) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b"v=0\r\n" * 2_000

    async with house.http.post(
        f"{house.url}/whip", data=endless(), headers={"Content-Type": "application/sdp"}
    ) as response:
        assert response.status == 413


# Headers


async def test_every_answer_has_the_security_headers(house: House) -> None:
    for path in ("/", "/health", "/nowhere", "/whip", "/index.html"):
        _, headers, _ = await get(house, path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "Offhook"
        assert "object-src 'none'" in headers["Content-Security-Policy"]


async def test_other_origins_may_read_only_where_they_are_named(open_house: OpenHouse) -> None:
    house = await open_house(origins=("https://good.example",))
    _, headers, _ = await get(house, "/health", Origin="https://good.example")
    assert headers["Access-Control-Allow-Origin"] == "https://good.example"
    assert "Location" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"
    _, headers, _ = await get(house, "/health", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in headers
    for path in ("/whip", "/v1/tokens", "/v1/sessions/x/events"):
        async with house.http.options(
            f"{house.url}{path}",
            headers={"Origin": "https://good.example", "Access-Control-Request-Method": "POST"},
        ) as response:
            assert response.status in (200, 204)
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
            assert response.headers["Access-Control-Allow-Origin"] == "https://good.example"
    async with house.http.options(
        f"{house.url}/v1/signal",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
    ) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"  # so that it can read the refusal
    async with house.http.post(
        f"{house.url}/whip", data=CHROME, headers={"Origin": "https://evil.example", "Content-Type": "application/sdp"}
    ) as response:
        assert response.status == 403
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert (await response.json())["code"] == "forbidden_origin"
    assert house.switchboard.live == 0


async def test_a_named_proxy_is_believed_about_the_caller_and_nobody_else_is(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def refuse(caller: Caller, terms: Terms) -> None:
        seen.append(caller.address)
        raise Full

    believing = await open_house(trusted_proxies=("127.0.0.1",))
    doubting = await open_house(trusted_proxies=("192.0.2.1",))
    for house in (believing, doubting):
        monkeypatch.setattr(house.switchboard, "open", refuse)
        for forwarded in (["198.51.100.9"], ["203.0.113.5, 198.51.100.9"], ["203.0.113.5", "198.51.100.9"]):
            headers = [("Content-Type", "application/sdp"), *(("X-Forwarded-For", line) for line in forwarded)]
            async with house.http.post(f"{house.url}/whip", data=CHROME, headers=headers) as response:
                assert response.status == 503
    assert seen == ["198.51.100.9"] * 3 + ["127.0.0.1"] * 3
