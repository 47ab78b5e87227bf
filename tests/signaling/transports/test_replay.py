"""A file that was sent, played again: a whole server."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
import numpy as np
import pytest

from signaling.auth import Grant
from signaling.http import AUTH, unix_time
from signaling.transports import replay
from signaling.transports.files import STREAM_PATH
from tests.media.files import encoded, wav
from tests.signaling.house import House, OpenHouse, until
from tests.signaling.transports.test_files import of, stream
from tests.signaling.uploads import Left, form, spoken

LARGE = wav(np.zeros(8_000_000, np.int16), rate=192_000)  # more than sockets hold
UNKNOWN = "00000000-0000-4000-8000-000000000000"
KEYS = ("shop:the-key-of-a-shop", "bank:the-key-of-a-bank")
SHOP, BANK = ({"X-API-Key": f"the-key-of-a-{name}"} for name in ("shop", "bank"))
BOSS = {"Authorization": "Bearer the-key-of-the-staff"}


async def sent(house: House, data: bytes, headers: Mapping[str, str] | None = None) -> str:
    """The URL that a file can be played from, once it was heard."""
    [complete] = of(await stream(house, form(data), headers), "complete")
    return str(complete["audio_url"])


async def get(house: House, url: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with house.http.request(method, house.url + url, headers=names) as response:
        return response.status, response.headers, await response.read()


async def detail(house: House, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    async with house.http.get(house.url + url, headers=headers) as response:
        return response.status, (await response.json())["detail"]


async def status(house: House, url: str, headers: Mapping[str, str] | None = None) -> int:
    async with house.http.get(house.url + url, headers=headers) as response:
        await response.read()
        return response.status


async def test_a_file_is_played_as_it_was_sent(house: House) -> None:
    data = spoken("alpha")
    url = await sent(house, data)
    code, headers, body = await get(house, url)
    assert (code, body) == (200, data)
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Content-Length"] == str(len(data))
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Disposition"] == "inline"  # and no name: that would be the client's
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].endswith("sandbox")


async def test_a_player_seeks(house: House) -> None:
    data = spoken("alpha")
    url = await sent(house, data)
    code, headers, body = await get(house, url, Range="bytes=100-199")
    assert (code, body, headers["Content-Range"]) == (206, data[100:200], f"bytes 100-199/{len(data)}")
    assert (await get(house, url, Range="bytes=-10"))[::2] == (206, data[-10:])
    tag = headers["ETag"]
    assert (await get(house, url, Range="bytes=5-", If_Range=tag))[::2] == (206, data[5:])
    assert (await get(house, url, Range="bytes=5-", If_Range='"another"'))[::2] == (200, data)
    code, headers, body = await get(house, url, Range="bytes=1000000-")
    assert (code, headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    assert b"The range is behind the end." in body


async def test_a_player_asks_for_the_head_first(house: House) -> None:
    data = spoken("alpha")
    url = await sent(house, data)
    code, headers, body = await get(house, url, "HEAD", Range="bytes=1-2")
    assert (code, body, headers["Content-Length"]) == (200, b"", str(len(data)))
    assert (headers["Content-Type"], headers["Accept-Ranges"]) == ("audio/wav", "bytes")
    assert (await get(house, url))[2] == data  # on the same connection


TYPES = {
    ("wav", "pcm_s16le"): "audio/wav",
    ("mp4", "aac"): "audio/mp4",
    ("webm", "libopus"): "audio/webm",
    ("ogg", "libopus"): "audio/ogg",
    ("mp3", "libmp3lame"): "audio/mpeg",
    ("flac", "flac"): "audio/flac",
    ("adts", "aac"): "audio/aac",
}


async def test_the_type_is_that_of_what_is_in_the_file(house: House) -> None:
    for (container, codec), expected in TYPES.items():
        url = await sent(house, encoded(container, codec))  # which is said to be a page
        assert (await get(house, url, "HEAD"))[1]["Content-Type"] == expected


async def test_nothing_in_a_file_runs(house: House) -> None:
    """An audio file that is a page, too, is only ever audio."""
    page = wav(np.frombuffer(b"<script>alert(1)</script> " * 500, np.int16))
    _, headers, body = await get(house, await sent(house, page))
    assert b"<script>" in body
    assert headers["Content-Type"] == "audio/wav"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("id", ["1", "..%2f..%2fetc%2fpasswd", UNKNOWN.upper().replace("0", "A"), f"{UNKNOWN}0", "%00"])
async def test_what_is_no_id_is_refused(house: House, id: str) -> None:
    assert await detail(house, f"/api/audio/{id}") == (400, "Invalid session ID format")


async def test_what_is_not_kept_is_not_found(house: House) -> None:
    assert await detail(house, f"/api/audio/{UNKNOWN}") == (404, "Audio session not found or expired")


# Bounds


async def test_a_recording_is_gone_after_its_time(open_house: OpenHouse) -> None:
    house = await open_house(kept_time=0.3)
    left = Left(house)
    url = await sent(house, spoken("alpha"))
    await left.nothing()
    assert await status(house, url) == 404


async def test_the_oldest_goes_first(open_house: OpenHouse) -> None:
    house = await open_house(kept_files=2)
    urls = [await sent(house, spoken("alpha")) for _ in range(3)]
    assert [await status(house, url) for url in urls] == [404, 200, 200]


async def test_a_server_may_keep_nothing(open_house: OpenHouse) -> None:
    house = await open_house(kept_files=0)
    [complete] = of(await stream(house, form(spoken("alpha"))), "complete")
    assert (complete["audio_session_id"], complete["audio_url"]) == (None, None)


async def test_what_breaks_off_is_not_kept(house: House) -> None:
    left = Left(house)
    async with aiohttp.ClientSession() as client:
        data = form(wav(np.zeros(3_000_000, np.int16), rate=8_000))
        async with client.post(house.url + STREAM_PATH, data=data) as response:
            await response.content.readline()
    await left.nothing()


@pytest.mark.parametrize("bound", ["MOST", "MOST_OF_ONE"])
async def test_so_many_play_at_once(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(replay, bound, 1)
    house = await open_house()
    url = await sent(house, LARGE)
    async with house.http.get(house.url + url) as playing:
        assert playing.status == 200
        async with house.http.get(house.url + url) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "5")
    await until(lambda: house.connections <= 1)


async def test_a_player_that_takes_nothing_is_let_go(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "DEADLINE", 0.2)
    house = await open_house()
    url = await sent(house, LARGE)
    connections = house.connections
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", house.port))
    await asyncio.to_thread(deaf.sendall, f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await until(lambda: house.connections > connections)
    await until(lambda: house.connections == connections)
    deaf.close()


# Who


async def test_a_recording_is_for_who_has_sent_it(open_house: OpenHouse) -> None:
    house = await open_house(keys=KEYS, operator_keys=("staff:the-key-of-the-staff",))
    url = await sent(house, spoken("alpha"), SHOP)
    path, _, token = url.partition("?token=")
    assert token.startswith("ot_")
    assert [await status(house, path, headers) for headers in (SHOP, BANK, BOSS, None)] == [200, 404, 200, 401]
    assert await detail(house, path, BANK) == (404, "Audio session not found or expired")


async def test_a_player_needs_no_key_for_the_recordings_own_url(open_house: OpenHouse) -> None:
    house = await open_house(keys=KEYS)
    one, two = [await sent(house, spoken("alpha"), SHOP) for _ in range(2)]
    assert [await status(house, url) for url in (one, two)] == [200, 200]
    mixed = f"{one.partition('?')[0]}?{two.partition('?')[2]}"
    assert await status(house, mixed) == 401
    assert await status(house, one.replace("/api/audio", "/v1/sessions")) != 200


async def test_who_sends_with_a_token_may_listen_too(open_house: OpenHouse) -> None:
    house = await open_house(keys=KEYS)
    grant = Grant(id="t", key="shop", endpoint="/api/transcribe", expires=int(unix_time()) + 60)
    token = house._runner.app[AUTH].issue(grant)
    url = await sent(house, spoken("alpha"), {"Authorization": f"Bearer {token}"})
    assert await status(house, url) == 200
