"""The messages: what they look like, and what becomes of what is no message."""

import math
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base import SAMPLE_RATE, Load, Stats, Upkeep
from engine.errors import EngineError, Full, Misuse, Overrun, Unavailable
from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from engine.verbs import Audio, Clear, Finish, Flush, MarkAt
from engine.wire import (
    MESSAGE_LIMIT,
    Failure,
    Fed,
    Finished,
    Init,
    OggOpus,
    Ready,
    Reply,
    Request,
    Text,
    WireError,
    decode_reply,
    decode_request,
    encode,
    error_of,
    failure_of,
)

LOAD = {"step_p50": 0.0, "step_p99": 0.0, "fill": 0.0, "backlog": 0.0, "step_counts": [0] * 8, "step_sum": 0.0}
STATS = {
    "type": "Stats",
    "state": "ready",
    "capacity": 4,
    "live": 1,
    "restarts": 0,
    "admitting": True,
    "load": LOAD,
    "upkeep": {"refreshes": 0, "stalls": 0, "losses": 0},
}

times = st.floats(0, 1e6)
ids = st.integers(-(1 << 63), (1 << 63) - 1)
counts = st.integers(0, (1 << 63) - 1)
requests = st.one_of(
    st.builds(Init, counts, times, st.sampled_from(["stream", "clip"])),
    st.builds(OggOpus, st.binary(max_size=50)),
    st.builds(MarkAt, ids),
    st.sampled_from([Flush(), Clear(), Finish()]),
)
replies = st.one_of(
    st.builds(Ready, counts),
    st.builds(Word, st.text(max_size=20), times),
    st.builds(WordEnd, times),
    st.builds(Partial, st.text(max_size=20)),
    st.builds(Pause, times),
    st.builds(Mark, ids),
    st.builds(Step, counts, st.tuples(times, times), st.integers(0, 1 << 30).map(lambda n: n / SAMPLE_RATE)),
    st.builds(Fed, counts),
    st.just(Finished()),
    st.builds(Text, st.text(max_size=20)),
    st.builds(Failure, st.text(max_size=20), st.text(max_size=5)),
    st.builds(
        Stats,
        st.sampled_from(["new", "starting", "ready", "stuck", "down", "closed"]),
        *(counts, counts, counts),
        st.booleans(),
        st.builds(Load, times, times, times, times, st.tuples(*[counts] * 8), times),
        st.builds(Upkeep, counts, counts, counts),
    ),
)


@given(requests)
def test_a_request_is_the_same_after_the_journey(request: Request) -> None:
    assert decode_request(encode(request)) == request


@given(replies)
def test_a_reply_is_the_same_after_the_journey(reply: Reply) -> None:
    assert decode_reply(encode(reply)) == reply


@pytest.mark.parametrize("plain", [True, False])
def test_audio_is_the_same_after_the_journey(plain: bool) -> None:
    pcm = np.linspace(-1, 1, 1_920, dtype=np.float32)
    audio = decode_request(encode(Audio(pcm), plain=plain))
    assert isinstance(audio, Audio)
    assert audio.pcm.dtype == np.float32
    assert np.array_equal(audio.pcm, pcm)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Ready(), {"type": "Ready"}),
        (Word("hello", 1.5), {"type": "Word", "text": "hello", "start_time": 1.5}),
        (WordEnd(2.0), {"type": "EndWord", "stop_time": 2.0}),
        (Mark(-3), {"type": "Marker", "id": -3}),
        (Step(7, (0.5, 0.25), 0.08), {"type": "Step", "step_idx": 7, "prs": [0.5, 0.25], "buffered_pcm": 1_920}),
        (Failure("no free channels", "full"), {"type": "Error", "message": "no free channels"}),
        (Init(), {"type": "Init"}),
        (OggOpus(b"OggS"), {"type": "OggOpus", "data": b"OggS"}),
        (MarkAt(9), {"type": "Marker", "id": 9}),
        (Audio(np.array([0.5, -0.25], np.float32)), {"type": "Audio", "pcm": [0.5, -0.25]}),
    ],
)
def test_a_plain_message_is_moshi_servers(message: Request | Reply, fields: dict[str, object]) -> None:
    assert msgpack.unpackb(encode(message, plain=True)) == fields


def test_plain_audio_has_single_floats() -> None:
    encoded = encode(Audio(np.zeros(1_920, np.float32)), plain=True)
    assert len(encoded) < 1_920 * 5 + 30


@pytest.mark.parametrize(
    "message", [Partial("a"), Pause(1.0), Flush(), Clear(), Finish(), Fed(1), Finished(), Text("")]
)
def test_what_a_moshi_server_does_not_know_is_not_sent_to_it(message: Request | Reply) -> None:
    with pytest.raises(Misuse, match="moshi-server has no"):
        encode(message, plain=True)


def test_what_a_moshi_server_says_is_understood() -> None:
    assert decode_reply(msgpack.packb({"type": "Ready"})) == Ready(version=0)
    assert decode_request(msgpack.packb({"type": "Init"})) == Init(version=0)
    assert decode_reply(msgpack.packb({"type": "Error", "message": "x"})) == Failure("x", "")
    assert decode_request(msgpack.packb({"type": "OggOpus", "data": [79, 103, 255]})) == OggOpus(b"Og\xff")
    doubles = decode_request(msgpack.packb({"type": "Audio", "pcm": [0.5, 1, 1e300]}))
    assert isinstance(doubles, Audio)
    assert doubles.pcm.tolist() == [0.5, 1.0, math.inf]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([], "not a map"),
        ({}, "no type"),
        ({"type": 5}, "no type"),
        ({"type": "Speak"}, "unknown type"),
        ({"type": "Word", "text": "a", "start_time": 0.0}, "unknown type"),  # a reply is no request
        ({"type": "Marker"}, "Marker has no id"),
        ({"type": "Marker", "id": "1"}, "Marker.id is of the wrong type"),
        ({"type": "Marker", "id": True}, "not a 64-bit integer"),
        ({"type": "Marker", "id": 1 << 63}, "not a 64-bit integer"),
        ({"type": "Audio", "pcm": b"\0\0\0\0"}, "wrong type"),
        ({"type": "Audio", "pcm": ["1.0"]}, "not a list of numbers"),
        ({"type": "Audio", "pcm": [[1.0]]}, "not a list of numbers"),
        ({"type": "Pcm", "pcm": b"\0\0\0"}, "ends inside a sample"),
        ({"type": "Pcm", "pcm": [0.0]}, "wrong type"),
        ({"type": "OggOpus", "data": [256]}, "not a list of bytes"),
        ({"type": "OggOpus", "data": ["a"]}, "not a list of bytes"),
        ({"type": "Init", "offhook": -1, "backlog": 1.0, "job": "stream"}, "negative"),
        ({"type": "Init", "offhook": 1, "backlog": math.nan, "job": "stream"}, "not a finite number"),
        ({"type": "Init", "offhook": 1, "backlog": 1.0, "job": "rest"}, "none of stream, clip"),
    ],
)
def test_a_malformed_request_is_named(fields: object, fault: str) -> None:
    with pytest.raises(WireError, match=fault):
        decode_request(msgpack.packb(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Word", "text": "a", "start_time": math.nan},
        {"type": "Word", "text": "a", "start_time": math.inf},
        {"type": "Word", "text": "a", "start_time": "0"},
        {"type": "Word", "text": b"\xff", "start_time": 0.0},
        {"type": "Step", "step_idx": 1, "prs": [math.nan], "buffered_pcm": 0},
        {"type": "Step", "step_idx": 1, "prs": 0.5, "buffered_pcm": 0},
        {"type": "Step", "step_idx": -1, "prs": [], "buffered_pcm": 0},
        {"type": "Pcm", "pcm": b""},
        {**STATS, "load": {**LOAD, "step_counts": [1] * 7}},
        {**STATS, "load": {**LOAD, "step_counts": [0.5] * 8}},
        {**STATS, "load": {**LOAD, "step_counts": [-1] * 8}},
        {**STATS, "load": {**LOAD, "step_sum": None}},
    ],
)
def test_a_malformed_reply_is_a_typed_error(fields: object) -> None:
    with pytest.raises(WireError):
        decode_reply(msgpack.packb(fields))


def test_figures_of_an_engine_are_understood() -> None:
    assert decode_reply(msgpack.packb(STATS)) == Stats("ready", 4, 1)


def test_too_long_a_message_is_refused_unread() -> None:
    with pytest.raises(WireError, match="the limit is 10"):
        decode_request(b"\xc1" * 11, limit=10)
    with pytest.raises(WireError, match=str(MESSAGE_LIMIT)):
        decode_reply(bytes(MESSAGE_LIMIT + 1))


def test_a_truncated_message_is_no_message() -> None:
    whole = encode(Word("hello", 1.0))
    for length in range(len(whole)):
        with pytest.raises(WireError):
            decode_reply(whole[:length])
    with pytest.raises(WireError, match="not msgpack"):
        decode_reply(whole + b"\0")


packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
kinds = st.sampled_from(
    [
        "Init",
        "Audio",
        "Pcm",
        "OggOpus",
        "Marker",
        "Ready",
        "Word",
        "EndWord",
        "Step",
        "Partial",
        "Fed",
        "Stats",
        "Error",
    ]
)
names = st.sampled_from(
    ["id", "pcm", "data", "text", "start_time", "stop_time", "step_idx", "prs", "buffered_pcm", "offhook", "backlog"]
)
lookalikes = st.builds(
    lambda kind, fields: msgpack.packb({"type": kind, **fields}), kinds, st.dictionaries(names, packable, max_size=4)
)


@given(st.binary(max_size=300) | packable.map(msgpack.packb) | lookalikes)
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            message: Any = decode(data)
        except WireError:
            continue
        assert decode(encode(message)) is not None


@pytest.mark.parametrize("error", [Full(), Unavailable("gone"), Overrun("too many"), Misuse("wrong")])
def test_an_error_is_the_same_kind_after_the_journey(error: EngineError) -> None:
    failure = decode_reply(encode(failure_of(error)))
    assert isinstance(failure, Failure)
    assert type(error_of(failure)) is type(error)
    assert str(error_of(failure)) == str(error)


def test_a_moshi_servers_full_house_is_known_by_its_words() -> None:
    assert isinstance(error_of(Failure("no free channels")), Full)
    assert isinstance(error_of(Failure("anything else")), Unavailable)
