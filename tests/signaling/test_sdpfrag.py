import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.errors import BadMessage
from signaling.sdpfrag import Fragment, parse

CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


def test_the_example_of_rfc_9725_is_read() -> None:
    body = (
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n"
        f"a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na={CANDIDATE}\r\na=end-of-candidates\r\n"
    )
    assert parse(body) == Fragment((("0", CANDIDATE),), True, "EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")


def test_the_generation_may_stand_before_the_media_line() -> None:
    body = f"a=ice-ufrag:abcd\na=ice-pwd:secret\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:audio\na={CANDIDATE}\n"
    assert parse(body) == Fragment((("audio", CANDIDATE),), False, "abcd", "secret")


@pytest.mark.parametrize("body", ["", "\r\n", "hello", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", f"a={CANDIDATE}\nnonsense"])
def test_what_is_no_fragment_is_refused(body: str) -> None:
    with pytest.raises(BadMessage):
        parse(body)


@given(st.text())
def test_any_text_is_a_fragment_or_refused(body: str) -> None:
    try:
        parse(body)
    except BadMessage:
        return
