"""Bodies that hold a file, as careful, careless and hostile clients send them, at a real server."""

import asyncio
import errno
import io
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from signaling import body, http
from signaling.transports import upload
from tests.signaling.house import House, OpenHouse, until
from tests.signaling.uploads import PATH, Left, form, post, spoken, words

FILE = spoken("alpha", "zulu")


class Wire:
    """A connection on which a client writes what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def post(cls, house: House, *headers: str, body: bytes = b"", version: str = "1.1") -> "Wire":
        """Begin a request with these headers."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", house.port))
        head = "\r\n".join((f"POST {PATH} HTTP/{version}", "Host: localhost", *headers))
        wire.writer.write(f"{head}\r\n\r\n".encode() + body)
        return wire

    async def answer(self, within: float = 5.0) -> tuple[int, Any]:
        """The next answer's status and JSON; status 0 where the connection ends without one."""
        try:
            async with asyncio.timeout(within):
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
                sizes = [int(line.split(":")[1]) for line in head if line.startswith("content-length")]
                data = await self._reader.readexactly(sizes[0] if sizes else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, None
        return int(head[0].split()[1]), json.loads(data) if data else None

    async def refusal(self, within: float = 5.0) -> tuple[int, str]:
        """Its status and code; its sentence is one."""
        status, problem = await self.answer(within)
        assert problem["detail"].endswith(".")
        return status, problem["code"]

    def close(self) -> None:
        self.writer.transport.abort()


Begin = Callable[..., Any]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Begins requests, and closes their connections after the test."""
    wires: list[Wire] = []

    async def begin(house: House, *headers: str, **options: Any) -> Wire:
        wires.append(await Wire.post(house, *headers, **options))
        return wires[-1]

    yield begin
    for wire in wires:
        wire.close()


# Sizes


async def test_what_is_declared_too_large_is_refused_unread(open_house: OpenHouse, begin: Begin) -> None:
    house = await open_house(max_file_size=1)
    wire = await begin(house, f"Content-Length: {(1 << 20) + 1}")
    assert await wire.refusal(within=1.0) == (413, "too_large")


async def test_what_turns_out_too_large_is_refused_while_it_comes(open_house: OpenHouse, begin: Begin) -> None:
    house = await open_house(max_file_size=1)
    wire = await begin(house, "Transfer-Encoding: chunked")
    for _ in range(17):
        wire.writer.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
    assert await wire.refusal(within=1.0) == (413, "too_large")


async def test_a_form_may_be_larger_than_its_file_and_its_file_may_not(open_house: OpenHouse) -> None:
    house = await open_house(max_file_size=1)
    full = FILE + bytes((1 << 20) - len(FILE))
    assert (await post(house, form(full, prompt="x" * 1_000)))[0] == 200
    status, _, problem = await post(house, form(full + b"x"))
    assert (status, problem["code"]) == (413, "too_large")
    status, _, problem = await post(house, form(FILE + bytes(4 << 20)))
    assert (status, problem["code"]) == (413, "too_large")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_has_to_tell_its_length(house: House, begin: Begin, version: str) -> None:
    wire = await begin(house, version=version)
    assert await wire.refusal() == (411, "length_required")


async def test_chunks_tell_it_too(house: House, begin: Begin) -> None:
    data = b"%x\r\n" % len(FILE) + FILE + b"\r\n0\r\n\r\n"
    wire = await begin(house, "Transfer-Encoding: chunked", body=data)
    status, answer = await wire.answer()
    assert (status, words(answer)) == (200, ["alpha", "zulu"])


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30, "10, 20"])
async def test_a_length_that_is_no_number_is_refused(house: House, begin: Begin, length: str) -> None:
    status, _ = await (await begin(house, f"Content-Length: {length}", body=b"x" * 10)).answer()
    assert status in (400, 413)


async def test_a_length_that_is_too_short_cuts_the_file_off(house: House, begin: Begin) -> None:
    left = Left(house)
    wire = await begin(house, "Content-Length: 30", body=FILE)
    assert (await wire.refusal())[0] in (400, 415, 422)
    wire.close()
    await left.nothing()


@pytest.mark.parametrize("ending", ["closed", "aborted"])
async def test_an_upload_that_breaks_off_leaves_nothing(house: House, begin: Begin, ending: str) -> None:
    left = Left(house)
    wire = await begin(house, f"Content-Length: {len(FILE)}", body=FILE[: len(FILE) // 2])
    await until(lambda: house.connections == 1)
    if ending == "aborted":
        wire.close()
    else:
        wire.writer.close()
    await until(lambda: house.connections == 0)
    await left.nothing()


async def test_broken_chunks_are_refused(house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where aiohttp has not begun to hand them over; later it says nothing of them, so that time tells."""
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.2)
    wire = await begin(house, "Transfer-Encoding: chunked", body=b"4\r\nRIFF\r\nzz\r\n")
    assert await wire.refusal() == (400, "bad_request")
    wire = await begin(house, "Transfer-Encoding: chunked", "Expect: 100-continue")
    assert await wire.answer() == (100, None)
    wire.writer.write(b"4\r\nRIFF\r\nzz\r\n")
    assert await wire.refusal() == (408, "request_timeout")


# Time


async def test_a_body_that_comes_too_slowly_is_refused(
    house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.2)
    wire = await begin(house, "Content-Length: 5000", body=b"RIFF")
    assert await wire.refusal() == (408, "request_timeout")


async def test_a_burst_does_not_buy_a_long_wait(house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.2)
    wire = await begin(house, "Content-Length: 500000", body=bytes(400_000))
    assert await wire.refusal(within=2.0) == (408, "request_timeout")


async def test_a_form_that_comes_too_slowly_is_refused(
    house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.2)
    wire = await begin(house, "Content-Type: multipart/form-data; boundary=x", "Content-Length: 5000", body=b"--x\r\n")
    assert await wire.refusal() == (408, "request_timeout")


async def test_what_comes_steadily_is_waited_for(house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_PATIENCE", 0.3)
    wire = await begin(house, f"Content-Length: {len(FILE)}")
    step = len(FILE) // 6 + 1
    for start in range(0, len(FILE), step):
        wire.writer.write(FILE[start : start + step])
        await asyncio.sleep(0.1)  # in all twice the patience
    assert (await wire.answer())[0] == 200


async def test_what_comes_steadily_is_not_waited_for_for_ever(
    house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "LONGEST", 0.3)
    wire = await begin(house, f"Content-Length: {len(FILE)}")
    for start in range(0, 600, 100):
        wire.writer.write(FILE[start : start + 100])
        await asyncio.sleep(0.1)
    assert await wire.refusal() == (408, "request_timeout")


# Those who ask first


async def test_who_asks_first_is_refused_before_anything_is_sent(open_house: OpenHouse, begin: Begin) -> None:
    house = await open_house(max_file_size=1, keys=("a-good-key",))
    wire = await begin(house, "Content-Length: 2000000", "Expect: 100-continue", "kyutai-api-key: a-good-key")
    assert await wire.refusal(within=1.0) == (413, "too_large")
    wire = await begin(house, "Content-Length: 2000", "Expect: 100-continue")
    assert await wire.refusal(within=1.0) == (401, "unauthorized")


async def test_who_asks_first_is_told_to_go_on(house: House, begin: Begin) -> None:
    wire = await begin(house, f"Content-Length: {len(FILE)}", "Expect: 100-continue")
    assert await wire.answer() == (100, None)
    wire.writer.write(FILE)
    status, answer = await wire.answer()
    assert (status, words(answer)) == (200, ["alpha", "zulu"])


async def test_nothing_else_can_be_expected(house: House) -> None:
    async with house.http.post(house.url + PATH, data=FILE, headers={"Expect": "miracles"}) as response:
        assert response.status == 417


# Forms


async def test_a_form_brings_a_file_whose_name_and_type_mean_nothing(house: House) -> None:
    status, _, answer = await post(house, form(FILE, model="whisper-1"))
    assert (status, words(answer)) == (200, ["alpha", "zulu"])


def parts(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def part(name: str, data: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((f'Content-Disposition: form-data; name="{name}"'.encode(), *headers)) + b"\r\n\r\n" + data


MULTIPART = "multipart/form-data; boundary=x"
BAD_FORMS: dict[str, tuple[str, bytes, int]] = {
    "without a file": (MULTIPART, parts(part("model", b"whisper-1")), 400),
    "without a part": (MULTIPART, b"--x--\r\n", 400),
    "with two files": (MULTIPART, parts(part("file", FILE), part("file", FILE)), 400),
    "with an empty file": (MULTIPART, parts(part("file", b"")), 400),
    "cut off": (MULTIPART, parts(part("file", FILE), end=b""), 400),
    "cut off in a header": (MULTIPART, b"--x\r\nContent-Disp", 400),
    "without a boundary": ("multipart/form-data", parts(part("file", FILE)), 400),
    "with another boundary": (MULTIPART.replace("=x", "=y"), parts(part("file", FILE)), 400),
    "with a boundary without end": (f"multipart/form-data; boundary={'x' * 100}", parts(part("file", FILE)), 400),
    "without names": (MULTIPART, parts(b"Content-Type: audio/wav\r\n\r\n" + FILE), 400),
    "in a form": (MULTIPART, parts(b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n"), 400),
    "with a long header": (MULTIPART, parts(part("file", FILE, b"X-Long: " + b"x" * 100_000)), 400),
    "with many headers": (MULTIPART, parts(part("file", FILE, *[b"X-Many: x"] * 500)), 400),
    "with too many fields": (MULTIPART, parts(*[part("a", b"b")] * 101, part("file", FILE)), 413),
    "with a field too large": (MULTIPART, parts(part("prompt", b"x" * (1 << 20)), part("file", FILE)), 413),
    "of one line": (MULTIPART, b"x" * 300_000, 400),
    "of noise": (MULTIPART, bytes(range(256)) * 100, 400),
}


@pytest.mark.parametrize(("kind", "data", "status"), BAD_FORMS.values(), ids=BAD_FORMS)
async def test_a_form_that_cannot_be_read_is_refused(house: House, kind: str, data: bytes, status: int) -> None:
    left = Left(house)
    got, _, problem = await post(house, data, headers={"Content-Type": kind})
    assert got == status
    assert problem["code"] in ("bad_message", "too_large", "empty")
    assert problem["detail"].endswith(".")
    await left.nothing()


async def test_the_fields_of_a_form_are_kept_in_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, list[str]]] = []
    took = body.Intake.form

    async def form_taken(intake: body.Intake) -> None:
        await took(intake)
        kept.append(intake.fields)

    monkeypatch.setattr(body.Intake, "form", form_taken)
    data = parts(part("a[]", b"1"), part("a[]", b"2"), part("file", FILE), part("b", "ü\xff".encode("latin-1")))
    assert (await post(house, data, headers={"Content-Type": MULTIPART}))[0] == 200
    assert kept == [{"a[]": ["1", "2"], "b": ["\ufffd\ufffd"]}]


async def test_an_encoded_body_is_refused(house: House) -> None:
    status, _, problem = await post(house, FILE, headers={"Content-Encoding": "gzip"}, compress=False)
    assert (status, problem["code"]) == (415, "unsupported_media_type")


# The disk


async def test_what_is_received_never_has_a_name(
    house: House, begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is left of it, even when the server is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[object] = []
    make = tempfile.TemporaryFile

    def noted(*args: Any, **options: Any) -> Any:
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    wire = await begin(house, f"Content-Length: {len(FILE)}", body=FILE[:-1])
    await until(lambda: len(made) == 1)
    assert os.listdir(tmp_path) == []
    wire.writer.write(FILE[-1:])
    assert (await wire.answer())[0] == 200
    assert os.listdir(tmp_path) == []


class FullDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_full_disk_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    status, headers, problem = await post(house, FILE)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "no_room", "30")
    assert (await house.health())["status"] == "ok"


async def test_no_descriptor_for_the_file_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(tempfile, "TemporaryFile", none_left)
    assert (await post(house, FILE))[0] == 503


# The server


async def test_only_so_many_files_are_received_at_once(
    house: House, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_HERE", 1)
    first = await begin(house, f"Content-Length: {len(FILE)}", "Expect: 100-continue")
    assert await first.answer() == (100, None)
    status, headers, problem = await post(house, FILE)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "busy", "5")
    first.writer.write(FILE)
    assert (await first.answer())[0] == 200
    assert (await post(house, FILE))[0] == 200


async def test_what_is_received_when_the_server_ends_is_told_so(house: House, begin: Begin) -> None:
    wire = await begin(house, f"Content-Length: {len(FILE)}", "Expect: 100-continue")
    assert await wire.answer() == (100, None)
    await house.switchboard.drain()
    wire.writer.write(FILE[:-1])
    assert await wire.refusal() == (503, "draining")


async def test_clients_with_a_form_library_of_their_own_are_understood(house: House) -> None:
    with aiohttp.MultipartWriter("form-data") as writer:
        writer.append(FILE, {"Content-Type": "audio/wav"}).set_content_disposition(
            "form-data", name="file", filename="ünï.wav"
        )
        assert (await post(house, writer))[0] == 200
