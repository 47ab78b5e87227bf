"""OpenAI's own client, as it comes, against the doors for its files; and what else is posted there."""

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import openai
import pytest
import webvtt
from openai import AsyncOpenAI, AsyncStream, OpenAI
from openai.types.audio import (
    TranscriptionStreamEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

from engine.base import EngineConfig
from engine.errors import Unavailable
from engine.events import Word
from engine.moonshine import MoonshineEngine, assets
from signaling.dialects.openai_form import WARNING_HEADER
from signaling.transports import listener
from signaling.transports.transcriptions import PATH
from tests.media.files import encoded, of_unknown_length, silent_film, wav
from tests.signaling.house import House, OpenHouse, until
from tests.signaling.uploads import Ears, Left, form, speech, spoken_in_ogg

KEY = "a-key-of-somebody"
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
QUIET = np.zeros(36_000, np.int16)  # 1.5 s
SAID = np.concatenate((speech("alpha", "bravo"), QUIET, speech("charlie")))
TALK = wav(SAID, rate=24_000)  # two segments
SECONDS = len(SAID) / 24_000
MINUTE = wav(np.zeros(60 * 8_000, np.int16), rate=8_000)

Client = AsyncOpenAI


def client_of(house: House, key: str = KEY) -> Client:
    """The client, which tries nothing twice, so that a test sees the first answer."""
    return AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    """Somebody who needs no key."""
    async with client_of(house) as client:
        yield client


async def send(house: House, data: Any, **options: Any) -> tuple[int, Any, Any]:
    """Post a form: the answer's status, headers, and JSON."""
    async with house.http.post(house.url + PATH, data=data, **options) as response:
        return response.status, response.headers, await response.json()


# Formats


async def test_a_text_with_the_seconds_it_took(client: Client, house: House) -> None:
    said = await client.audio.transcriptions.create(file=("talk.wav", TALK), model="whisper-1")
    assert said.text == "alpha bravo charlie"
    assert said.usage is not None
    assert said.usage.model_dump() == {"type": "duration", "seconds": 4}
    assert house.figure("offhook_sessions_opened_total", door="openai-file") == 1


async def test_plain_text(client: Client) -> None:
    said = await client.audio.transcriptions.create(file=TALK, model="any", response_format="text")
    assert said == "alpha bravo charlie\n"


async def test_segments_and_words_with_their_times(client: Client) -> None:
    said = await client.audio.transcriptions.create(
        file=TALK,
        model="whisper-1",
        response_format="verbose_json",
        language="en",
        timestamp_granularities=["word", "segment"],
    )
    assert (said.text, said.language) == ("alpha bravo charlie", "en")
    assert said.duration == pytest.approx(SECONDS, abs=0.001)
    assert said.segments is not None
    assert said.words is not None
    assert [(segment.id, segment.text) for segment in said.segments] == [(0, "alpha bravo"), (1, "charlie")]
    assert [word.word for word in said.words] == ["alpha", "bravo", "charlie"]
    starts = [word.start for word in said.words]
    assert starts == pytest.approx([0.0, 0.56, 2.62], abs=0.1)
    assert [said.segments[0].start, said.segments[1].start] == [starts[0], starts[2]]
    spans = [(word.start, word.end) for word in said.words] + [(each.start, each.end) for each in said.segments]
    assert all(start < end <= said.duration for start, end in spans)
    # The types say what must be there; the client itself does not look.
    type(said).model_validate(said.model_dump(), strict=True)


async def test_verbose_json_has_segments_when_nothing_is_said_of_times(client: Client) -> None:
    said = await client.audio.transcriptions.create(file=TALK, model="any", response_format="verbose_json")
    assert said.segments
    assert said.words is None
    assert said.language == "en", "the only one that this engine hears"


@pytest.mark.parametrize("kind", ["srt", "vtt"])
async def test_subtitles_that_a_parser_reads_back(client: Client, kind: Any) -> None:
    said = await client.audio.transcriptions.create(file=TALK, model="any", response_format=kind)
    assert isinstance(said, str)
    file = webvtt.from_buffer(io.BytesIO(said.encode()), format=kind)
    assert [caption.text for caption in file.captions] == ["alpha bravo", "charlie"]
    first, second = file.captions
    assert 0 <= first.start_in_seconds <= first.end_in_seconds <= 2 == int(second.start_in_seconds)


async def test_the_types_are_those_of_what_is_sent(house: House) -> None:
    for kind, type in (
        ("json", "application/json"),
        ("text", "text/plain"),
        ("srt", "application/x-subrip"),
        ("vtt", "text/vtt"),
    ):
        async with house.http.post(house.url + PATH, data=form(TALK, response_format=kind)) as response:
            assert response.headers["Content-Type"] == f"{type}; charset=utf-8"
            assert response.headers["Cache-Control"] == "no-store"


async def test_silence_is_no_text(client: Client) -> None:
    silence = wav(QUIET, rate=24_000)
    assert (await client.audio.transcriptions.create(file=silence, model="any")).text == ""
    said = await client.audio.transcriptions.create(file=silence, model="any", response_format="verbose_json")
    assert (said.segments, said.text) == ([], "")


# Files


async def test_a_file_by_path_bytes_or_name(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "talk.ogg"
    path.write_bytes(spoken_in_ogg("alpha"))
    with path.open("rb") as opened:
        for file in (path, path.read_bytes(), ("talk.ogg", path.read_bytes(), "audio/ogg"), opened):
            assert (await client.audio.transcriptions.create(file=file, model="any")).text == "alpha"


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "a\r\nX-Evil: 1.wav", 'a".wav', "\0.wav", "", "a" * 4_000, "\u202egpj.wav", "-rf /"]
)
async def test_what_a_file_is_called_is_not_looked_at(client: Client, name: str) -> None:
    assert (await client.audio.transcriptions.create(file=(name, TALK), model="any")).text == "alpha bravo charlie"


async def test_the_client_without_asyncio(house: House) -> None:
    def transcribe() -> str:
        with OpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
            return client.audio.transcriptions.create(file=TALK, model="any", response_format="text")

    assert await asyncio.to_thread(transcribe) == "alpha bravo charlie\n"


async def test_fields_may_come_after_the_file(house: House) -> None:
    data = form(TALK)
    data.add_field("response_format", "verbose_json")
    data.add_field("timestamp_granularities[]", "word")
    _, _, answer = await send(house, data)
    assert [word["word"] for word in answer["words"]] == ["alpha", "bravo", "charlie"]


# Streams


async def test_the_words_come_as_they_are_heard(client: Client) -> None:
    async with await client.audio.transcriptions.create(file=TALK, model="gpt-4o-transcribe", stream=True) as stream:
        *deltas, done = [event async for event in stream]
    assert [event.delta for event in deltas if isinstance(event, TranscriptionTextDeltaEvent)] == [
        *("alpha", " bravo", " charlie")
    ]
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == "alpha bravo charlie"


async def test_a_stream_tells_the_first_word_while_the_rest_is_heard(open_house: OpenHouse) -> None:
    ears = Ears()
    house = await open_house(engine=ears)
    async with client_of(house) as client:
        creating = asyncio.create_task(client.audio.transcriptions.create(file=TALK, model="any", stream=True))
        heard = await ears.stream()
        heard.outbox.put(Word("alpha", 0.0))
        async with await creating as stream:
            first = await anext(aiter(stream))
            assert isinstance(first, TranscriptionTextDeltaEvent)
            assert (first.delta, "finish" in heard.given) == ("alpha", False)


async def test_segments_are_streamed_where_times_are_asked_for(client: Client) -> None:
    async with await client.audio.transcriptions.create(
        file=TALK, model="any", stream=True, response_format="verbose_json"
    ) as stream:
        events = [event async for event in stream]
    segments = [event for event in events if isinstance(event, TranscriptionTextSegmentEvent)]
    assert [(segment.id, segment.text) for segment in segments] == [("seg_0", "alpha bravo"), ("seg_1", "charlie")]
    for segment in segments:
        TranscriptionTextSegmentEvent.model_validate(segment.model_dump(), strict=True)


async def test_a_stream_that_breaks_off_has_told_its_words_and_raises_in_the_client(open_house: OpenHouse) -> None:
    house = await open_house(max_duration=3)
    data = of_unknown_length(encoded("flac", "flac", speech(*["alpha"] * 20, rate=48_000)))
    told: list[object] = []

    async def read(stream: AsyncStream[TranscriptionStreamEvent]) -> None:
        async for event in stream:
            told.append(event)

    async with client_of(house) as client:
        stream = await client.audio.transcriptions.create(file=data, model="any", stream=True)
        with pytest.raises(openai.APIError, match="longer than 3 seconds") as raised:
            await read(stream)
    assert [event.delta for event in told if isinstance(event, TranscriptionTextDeltaEvent)][:2] == ["alpha", " alpha"]
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["code"] == "too_long"


async def test_a_reader_that_goes_away_ends_it_all(open_house: OpenHouse) -> None:
    ears = Ears()
    house = await open_house(engine=ears)
    left = Left(house)
    async with client_of(house) as client:
        stream = await client.audio.transcriptions.create(file=MINUTE, model="any", stream=True)
        heard = await ears.stream()
        await stream.close()
    await left.nothing()
    assert heard.closed
    assert house.figure("offhook_sessions_ended_total", reason="lost") == 1


async def test_a_reader_that_stops_reading_is_let_go(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "WRITE_DEADLINE", 0.2)
    monkeypatch.setattr(listener, "GOODBYE", 0.2)
    ears = Ears()
    house = await open_house(engine=ears)
    left = Left(house)
    async with deaf(house, MINUTE):
        heard = await ears.stream()
        for number in range(300):
            heard.outbox.put(Word("x" * 20_000, float(number)))
        await until(lambda: house.figure("offhook_listeners_let_go_total") == 1)
    await left.nothing()
    assert heard.closed


async def test_a_file_that_is_heard_faster_than_its_reader_reads_is_told_whole(open_house: OpenHouse) -> None:
    ears = Ears(2)  # which leave one place for files
    house = await open_house(engine=ears)
    async with client_of(house) as client:
        creating = asyncio.create_task(client.audio.transcriptions.create(file=MINUTE, model="any", stream=True))
        heard = await ears.stream()
        stream = await creating
        for number in range(1_500):  # more than a reader of a session's log may be behind
            heard.outbox.put(Word(f"{number}" + "x" * 5_000, float(number)))
            await asyncio.sleep(0)
        heard.going.set()
        await until(lambda: heard.closed)  # the place is another one's before all was read
        *deltas, done = [event async for event in stream]
    assert len(deltas) == 1_500
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert len(done.text.split()) == 1_500


@contextlib.asynccontextmanager
async def deaf(house: House, file: bytes) -> AsyncIterator[None]:
    """Somebody who asks for a stream and then reads no further than the header."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", house.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1_024)
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"stream", b"true") + part % (b"file", file) + b"--x--\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield
    finally:
        writer.close()


# Options that have no effect


async def test_what_has_no_effect_is_named_and_fails_nothing(client: Client) -> None:
    response = await client.audio.transcriptions.with_raw_response.create(
        file=TALK,
        model="gpt-4o-transcribe-diarize",
        prompt="Kyutai",
        temperature=0.5,
        include=["logprobs"],
        languages=["en", "fr"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        known_speaker_names=["agent"],
        known_speaker_references=["data:audio/wav;base64,AAA="],
    )
    warnings = response.headers[WARNING_HEADER]
    for option in (
        *("prompt", "temperature", "include", "languages", "chunking_strategy"),
        *("known_speaker_names", "known_speaker_references"),
    ):
        assert f'"{option} has no effect: ' in warnings
    assert response.parse().text == "alpha bravo charlie"


async def test_a_stream_names_them_too_and_a_plain_wish_has_no_warning(client: Client) -> None:
    raw = client.audio.transcriptions.with_raw_response
    streamed = await raw.create(file=TALK, model="any", stream=True, prompt="Kyutai")
    assert streamed.headers[WARNING_HEADER].startswith('"prompt ')
    assert streamed.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    async with streamed.parse() as events:
        assert [event.type async for event in events][-1] == "transcript.text.done"
    plain = await raw.create(file=TALK, model="any", chunking_strategy="auto", temperature=0)
    assert WARNING_HEADER not in plain.headers


# Refusals


async def test_speakers_are_refused_with_what_to_ask_for(client: Client, house: House) -> None:
    with pytest.raises(openai.BadRequestError, match="ask for verbose_json") as refused:
        await client.audio.transcriptions.create(file=TALK, model="any", response_format="diarized_json")
    assert (refused.value.param, refused.value.type) == ("response_format", "invalid_request_error")
    assert house.figure("offhook_sessions_opened_total", door="openai-file") == 0


async def test_an_unknown_format_is_refused_by_name(client: Client) -> None:
    with pytest.raises(openai.BadRequestError, match="'mp3'") as refused:
        await client.audio.transcriptions.create(
            file=TALK,
            model="any",
            response_format="mp3",  # type: ignore[call-overload]  # what the types do not allow
        )
    assert (refused.value.param, refused.value.code) == ("response_format", "invalid_value")


async def translate(client: Client) -> None:
    with pytest.deprecated_call():  # by OpenAI
        asking = client.audio.translations.create(file=TALK, model="whisper-1")
    await asking


async def test_a_translation_is_refused_with_a_sentence(client: Client) -> None:
    with pytest.raises(openai.BadRequestError, match="does not translate"):
        await translate(client)


FILES: dict[str, tuple[type[openai.APIStatusError], int, str, bytes]] = {
    "empty": (openai.BadRequestError, 400, "empty", b""),
    "HTML": (openai.APIStatusError, 415, "unknown_format", b"<!doctype html><title>404</title>" * 50),
    "silent film": (openai.UnprocessableEntityError, 422, "no_audio", silent_film()),
    "truncated mp4": (openai.UnprocessableEntityError, 422, "damaged", encoded("mp4", "aac")[:8_000]),
}


@pytest.mark.parametrize(("kind", "status", "code", "data"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_file_is_refused_in_the_clients_words(
    client: Client, house: House, kind: type[openai.APIStatusError], status: int, code: str, data: bytes, stream: bool
) -> None:
    left = Left(house)
    with pytest.raises(kind) as refused:
        await client.audio.transcriptions.create(file=("talk.mp3", data), model="any", stream=stream)
    assert (refused.value.status_code, refused.value.code, refused.value.param) == (status, code, "file")
    assert str(refused.value.body).count("Traceback") == 0
    await client.close()
    await left.nothing()


async def test_half_a_file_is_no_transcript(open_house: OpenHouse) -> None:
    house = await open_house(max_duration=3)
    data = of_unknown_length(encoded("flac", "flac", speech(*["alpha"] * 20, rate=48_000)))
    async with client_of(house) as client:
        with pytest.raises(openai.APIStatusError, match="longer than 3 seconds") as refused:
            await client.audio.transcriptions.create(file=data, model="any")
    assert (refused.value.status_code, refused.value.code) == (413, "too_long")


async def test_a_file_over_the_limit_is_refused_unread(open_house: OpenHouse) -> None:
    house = await open_house(max_file_size=1)
    status, _, answer = await send(house, form(bytes(4 << 20)), headers={"Expect": "100-continue"})
    assert (status, answer["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nany\r\n--x--\r\n',
            {"Content-Type": "multipart/form-data; boundary=x"},
            400,
            "invalid_value",
        ),
        (form(TALK, TALK), {}, 400, "invalid_value"),
        (b'{"model": "any"}', {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        (TALK, {"Content-Type": "audio/wav"}, 415, "unsupported_media_type"),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 400, "invalid_value"),
        (b"", {"Content-Type": "multipart/form-data"}, 400, "invalid_value"),
        (TALK, {"Content-Type": "multipart/mixed; boundary=x"}, 415, "unsupported_media_type"),
    ],
)
async def test_what_is_no_form_with_a_file_is_refused(
    house: House, data: Any, headers: dict[str, str], status: int, code: str
) -> None:
    got, _, answer = await send(house, data, headers=headers)
    assert (got, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"].endswith(".")
    assert answer["error"]["type"] == "invalid_request_error"


async def test_a_method_that_is_not_there_is_told_in_the_same_shape(house: House) -> None:
    async with house.http.get(house.url + PATH) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


# Who may come in


async def test_a_key_is_shown_as_the_client_shows_it(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    async with client_of(house) as client, client_of(house, "another") as stranger:
        assert (await client.audio.transcriptions.create(file=TALK, model="any")).text
        for asked in (
            stranger.audio.transcriptions.create(file=TALK, model="any"),
            translate(stranger),
            stranger.models.list(),
            stranger.models.retrieve("any"),
        ):
            with pytest.raises(openai.AuthenticationError) as refused:
                await asked
            assert refused.value.code == "invalid_api_key"


async def test_a_token_for_files_is_good_for_files_only(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))

    async def token(endpoint: str) -> str:
        async with house.http.post(
            f"{house.url}/v1/tokens", json={"endpoint": endpoint}, headers={"Authorization": f"Bearer {KEY}"}
        ) as response:
            return str((await response.json())["token"])

    async with client_of(house, await token(PATH)) as client:
        assert (await client.audio.transcriptions.create(file=TALK, model="any")).text
        with pytest.raises(openai.AuthenticationError):
            await translate(client)
    async with client_of(house, await token("/v1/signal")) as client:
        with pytest.raises(openai.AuthenticationError, match="This token is for /v1/signal only"):
            await client.audio.transcriptions.create(file=TALK, model="any")


async def test_a_full_house_is_told_with_the_seconds_to_wait(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    await house.call()
    async with client_of(house) as client:
        with pytest.raises(openai.InternalServerError, match="lines are busy") as refused:
            await client.audio.transcriptions.create(file=TALK, model="any")
    assert (refused.value.status_code, refused.value.code) == (503, "busy")
    assert refused.value.response.headers["Retry-After"] == "5"


async def test_too_many_files_are_told_as_a_limit(open_house: OpenHouse) -> None:
    house = await open_house(files_per_minute=1, keys=(KEY,))
    async with client_of(house) as client:
        await client.audio.transcriptions.create(file=TALK, model="any")
        with pytest.raises(openai.RateLimitError) as refused:
            await client.audio.transcriptions.create(file=TALK, model="any")
    assert refused.value.code == "rate_limit_exceeded"
    assert 0 < int(refused.value.response.headers["Retry-After"]) <= 60


async def test_an_engine_that_fails_is_a_failure_that_may_be_tried_again(open_house: OpenHouse) -> None:
    ears = Ears()
    house = await open_house(engine=ears)
    async with client_of(house) as client:
        creating = asyncio.create_task(client.audio.transcriptions.create(file=MINUTE, model="any"))
        heard = await ears.stream()
        heard.outbox.put(Word("hello", 1.0))
        heard.die(Unavailable("gone"))
        with pytest.raises(openai.InternalServerError, match="send it again") as refused:
            await creating
    assert (refused.value.code, refused.value.response.headers["Retry-After"]) == ("engine_down", "5")


# The embedded engine


async def test_a_recording_is_heard_by_the_real_engine(open_house: OpenHouse) -> None:
    house = await open_house(engine=MoonshineEngine(EngineConfig("moonshine", capacity=2, workers=1)))
    async with client_of(house) as client:
        said = await client.audio.transcriptions.create(
            file=assets() / "beckett.wav",
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["segment", "word"],
            timeout=30,
        )
    assert jiwer.wer(BECKETT, said.text) <= 0.35
    assert said.segments is not None
    assert said.words is not None
    assert " ".join(segment.text for segment in said.segments) == said.text
    assert " ".join(word.word for word in said.words) == said.text
    assert len(said.segments) > 1
    starts = [word.start for word in said.words]
    assert starts == sorted(starts)
    assert said.words[-1].end <= said.duration
