"""What is kept to be heard again, and for how long."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from signaling.auth import Caller, Grant
from signaling.errors import UnknownSession
from signaling.store import Recording, Store

ANYONE = Caller("10.0.0.1")


@pytest.fixture
def store() -> Iterator[Store]:
    """Three files, ten bytes, sixty seconds."""
    store = Store(3, 10, 60.0)
    yield store
    store.close()


def keep(store: Store, data: bytes = b"abc", now: float = 0.0, owner: str = "") -> Recording | None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return store.keep(file, len(data), "audio/wav", owner, now)


def kept(store: Store, data: bytes = b"abc", now: float = 0.0, owner: str = "") -> Recording:
    recording = keep(store, data, now, owner)
    assert recording is not None
    return recording


def heard(recording: Recording) -> bytes:
    with recording.opened() as descriptor:
        return os.pread(descriptor, 100, 0)


def is_there(store: Store, recording: Recording, now: float = 0.0) -> bool:
    try:
        return store.find(recording.id, ANYONE, now) is recording
    except UnknownSession:
        return False


def test_a_recording_outlives_the_request_that_brought_it(store: Store) -> None:
    recording = kept(store, b"hello")
    assert heard(store.find(recording.id, ANYONE, 59.0)) == b"hello"
    assert (recording.size, recording.content_type) == (5, "audio/wav")


def test_a_recording_has_no_name_on_the_disk(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept(store)
    assert list(tmp_path.iterdir()) == []


def test_no_two_recordings_share_an_id_or_a_tag(store: Store) -> None:
    one, two = kept(store), kept(store)
    assert one.id != two.id
    assert one.etag != two.etag


def test_a_recording_is_gone_when_its_time_is_over(store: Store) -> None:
    one, two = kept(store, now=0.0), kept(store, now=30.0)
    assert (is_there(store, one, 59.9), is_there(store, one, 60.0)) == (True, False)
    assert store.deadline == 60.0
    store.expire(59.9)
    assert len(store) == 2
    store.expire(60.0)
    assert (len(store), store.deadline, is_there(store, two, 60.0)) == (1, 90.0, True)


def test_the_oldest_makes_room_for_one_more(store: Store) -> None:
    recordings = [kept(store, b"ab") for _ in range(4)]
    assert [is_there(store, recording) for recording in recordings] == [False, True, True, True]


def test_the_oldest_make_room_for_a_large_one(store: Store) -> None:
    recordings = [kept(store, b"1234"), kept(store, b"1234"), kept(store, b"1234567")]
    assert [is_there(store, recording) for recording in recordings] == [False, False, True]
    assert is_there(store, kept(store, b"123"))
    assert is_there(store, recordings[2])


def test_what_is_larger_than_all_room_is_not_kept_and_costs_nobody(store: Store) -> None:
    one = kept(store)
    assert keep(store, bytes(11)) is None
    assert is_there(store, one)


def test_nothing_is_kept_where_nothing_may_be() -> None:
    assert keep(Store(0, 10, 60.0)) is None
    assert keep(Store(10, 0, 60.0)) is None


def test_who_reads_a_recording_reads_on_when_it_goes(store: Store) -> None:
    recording = kept(store, b"hello")
    with recording.opened() as descriptor:
        store.close()
        assert os.pread(descriptor, 100, 0) == b"hello"


def test_a_store_gives_back_every_descriptor() -> None:
    before = psutil.Process().num_fds()
    store = Store(3, 1_000, 60.0)
    for _ in range(10):
        heard(kept(store))
    assert psutil.Process().num_fds() == before + 3
    store.close()
    assert psutil.Process().num_fds() == before


def test_where_no_descriptor_is_left_nothing_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "dup", none_left)
    assert keep(store) is None
    assert len(store) == 0


def test_a_recording_is_for_its_owner_and_for_operators(store: Store) -> None:
    recording = kept(store, owner="shop")
    token = Grant(id="t", key="bank", endpoint=f"/api/audio/{recording.id}", expires=0)
    for who in (Caller("a", "shop"), Caller("a", "bank", operator=True), Caller("a", "bank", grant=token)):
        assert store.find(recording.id, who, 0.0) is recording
    with pytest.raises(UnknownSession, match="Audio session not found or expired"):
        store.find(recording.id, Caller("a", "bank"), 0.0)


def test_an_open_file_stays_its_owners(store: Store) -> None:
    file: BinaryIO
    with tempfile.TemporaryFile() as file:
        assert store.keep(file, 1, "audio/wav", "", 0.0)
        store.close()
        file.write(b"still open")
