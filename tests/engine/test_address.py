"""Addresses of remote engines."""

import pytest
from yarl import URL

from engine.address import address
from engine.errors import Misuse


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ws://gpu:8080", "ws://gpu:8080/api/asr-streaming"),
        ("wss://gpu/", "wss://gpu/api/asr-streaming"),
        ("ws://gpu/?auth_id=key", "ws://gpu/api/asr-streaming?auth_id=key"),
        ("wss://gpu/behind/api/asr-streaming", "wss://gpu/behind/api/asr-streaming"),
        ("http://[::1]:8080", "http://[::1]:8080/api/asr-streaming"),
    ],
)
def test_a_bare_address_means_moshi_servers_path(written: str, meant: str) -> None:
    assert address(written) == URL(meant)


@pytest.mark.parametrize(
    "written", ["", "localhost:8080", "gpu", "ftp://gpu/", "http://", "ws://gpu:port", "ws://gpu:70000"]
)
def test_what_is_no_address_is_misuse(written: str) -> None:
    with pytest.raises(Misuse, match="must be like ws://"):
        address(written)
