"""Servers as configured and as told, and the choice of ports."""

import pytest

from media.errors import BadServer
from media.ice import IceServer, Sockets, parse_server


def test_servers_are_read_from_settings() -> None:
    assert parse_server("stun:stun.example:3478") == IceServer(("stun:stun.example:3478",))
    assert parse_server("turn:turn.example?transport=tcp me pass") == IceServer(
        ("turn:turn.example?transport=tcp",), "me", "pass"
    )
    assert parse_server("turns:[2001:db8::1]:5349 secret=s").secret == "s"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://x",
        "stun:",
        "stun:a:0",
        "stun:a:99999",
        "stun:a?transport=udp",
        "turn:a",
        "turn:a user",
        "turn:a?transport=sctp u p",
        "turn:a u p more",
        "stun:a b>c",
    ],
)
def test_a_server_that_cannot_be_used_is_named(text: str) -> None:
    with pytest.raises(BadServer):
        parse_server(text)


def test_credentials_from_a_shared_secret_expire() -> None:
    server = parse_server("turn:turn.example secret=north")
    # printf '1700000600:ann' | openssl dgst -sha1 -hmac north -binary | base64
    short = server.credentials("ann", now=1_700_000_000.9)
    assert short.username == "1700000600:ann"
    assert short.credential == "7frJsC9X1ENSUqDpiZimUxlaSY8="
    assert short.secret == ""


def test_fixed_credentials_stay() -> None:
    server = IceServer(("turn:turn.example",), "me", "pass")
    assert server.credentials("ann", now=0.0) == server


def test_a_browser_is_told_in_json() -> None:
    assert IceServer(("stun:a", "stun:b")).as_json() == {"urls": ["stun:a", "stun:b"]}
    assert IceServer(("turn:a",), "me", "pass").as_json() == {
        "urls": ["turn:a"],
        "username": "me",
        "credential": "pass",
    }
    assert "secret" not in str(IceServer(("turn:a",), secret="secret").as_json())


def test_a_whip_client_is_told_in_links() -> None:
    assert IceServer(("stun:a",)).as_links() == ['<stun:a>; rel="ice-server"']
    assert IceServer(("turn:a",), "me", 'p"\\s').as_links() == [
        '<turn:a>; rel="ice-server"; username="me"; credential="p\\"\\\\s"; credential-type="password"'
    ]


def test_every_port_of_the_range_is_tried_once() -> None:
    assert list(Sockets().port_choices()) == [0]
    assert sorted(Sockets(ports=(5_000, 5_009)).port_choices()) == list(range(5_000, 5_010))
