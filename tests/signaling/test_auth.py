import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from signaling import auth as module
from signaling.auth import (
    Auth,
    Caller,
    Grant,
    Names,
    Origins,
    answerable,
    credential,
    is_own,
    may_follow,
    view_endpoint,
)
from signaling.errors import ForbiddenOrigin, Unauthorized
from signaling.keys import Key

FIRST, SECOND = Key("first-key-123"), Key("second-key-45", "shop", 3)
KEYS = (FIRST, SECOND)
PAGE = Grant(id="t1", key="shop", endpoint="/v1/signal", expires=1_600)


@pytest.fixture(scope="module")
def auth() -> Auth:
    return Auth(KEYS)


def test_without_keys_everyone_is_let_in() -> None:
    key, grant = Auth(()).check("whatever they say", now=0.0)
    assert (key.name, key.operator, grant) == ("", False, None)


@pytest.mark.parametrize(
    "wrong", ["", "first-key-12", "first-key-1234", "ot_", "ot_99999999999.AAAA", "ot_x.y", "é", "\udcff", "shop"]
)
def test_a_missing_or_wrong_key_is_refused(auth: Auth, wrong: str) -> None:
    with pytest.raises(Unauthorized):
        auth.check(wrong, now=0.0)


def test_each_key_is_let_in_under_its_name_or_one_that_does_not_show_it(auth: Auth) -> None:
    assert auth.check("second-key-45", now=0.0) == (SECOND, None)
    key, _ = auth.check("first-key-123", now=0.0)
    assert key.name.startswith("key-")
    assert not any(part in key.name for part in ("first", "123"))
    assert Auth((SECOND, FIRST)).check("first-key-123", now=0.0)[0] == key  # the same on every machine


def test_every_key_is_compared_whichever_is_right(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def noted(secret: bytes, shown: bytes) -> bool:
        compared.append(secret)
        return hmac.compare_digest(secret, shown)

    class Noted:
        digest = hmac.digest
        compare_digest = staticmethod(noted)

    monkeypatch.setattr(module, "hmac", Noted)
    for shown in ("first-key-123", "second-key-45"):
        compared.clear()
        auth.check(shown, now=0.0)
        assert compared == [b"first-key-123", b"second-key-45"]


# Tokens


def test_a_token_says_what_it_is_good_for_until_it_expires(auth: Auth) -> None:
    grant = Grant(
        id="t2", key="shop", endpoint="/whip", expires=1_600, longest=60, sessions=2, origin="https://shop.example"
    )
    token = auth.issue(grant)
    assert auth.check(token, now=1_599.0) == (SECOND, grant)
    with pytest.raises(Unauthorized, match="expired"):
        auth.check(token, now=1_600.0)


def test_a_token_that_has_expired_is_good_for_what_was_begun_with_it(auth: Auth) -> None:
    _, grant = auth.check(auth.issue(PAGE), now=9_999.0, in_use=lambda token: token == "t1")
    assert grant is not None
    assert grant.lapsed
    with pytest.raises(Unauthorized):
        auth.check(auth.issue(PAGE), now=9_999.0, in_use=lambda token: token == "another")


def test_a_token_is_good_at_another_machine_with_the_same_keys_and_at_no_other(auth: Auth) -> None:
    token = auth.issue(PAGE)
    assert Auth((SECOND, FIRST)).check(token, now=0.0)[1] == PAGE
    for others in (KEYS[1:], (*KEYS, Key("a-third-key-6")), (FIRST, Key("second-key-45", "renamed"))):
        with pytest.raises(Unauthorized):
            Auth(others).check(token, now=0.0)


def test_a_token_that_was_tampered_with_is_refused(auth: Auth) -> None:
    token = auth.issue(PAGE)
    longer = auth.issue(Grant(id="t1", key="shop", endpoint="/v1/signal", expires=99_999))
    claims, signature = token.split(".")
    forged = [
        token[:-1],
        token + "A",
        token[:40],
        claims,
        claims + ".",
        "." + signature,
        longer.split(".")[0] + "." + signature,
        claims.upper() + "." + signature,
        token.replace("ot_", ""),
        token + "." + signature,
        Auth(KEYS[:1]).issue(PAGE),
    ]
    for shown in forged:
        with pytest.raises(Unauthorized):
            auth.check(shown, now=0.0)


def test_every_character_of_a_token_counts(auth: Auth) -> None:
    token = auth.issue(PAGE)
    for place in range(len(token) - 1):  # of the last one, base64 uses four bits only
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(Unauthorized):
            auth.check(token[:place] + other + token[place + 1 :], now=0.0)


def test_bad_credentials_leave_nothing_behind(auth: Auth) -> None:
    before = {name: repr(value) for name, value in vars(auth).items()}
    for number in range(5_000):
        with pytest.raises(Unauthorized):
            auth.check(f"ot_wrong{number}.{number}", now=0.0)
    assert {name: repr(value) for name, value in vars(auth).items()} == before


@pytest.mark.parametrize(
    ("endpoint", "path", "good"),
    [
        ("/v1/signal", "/v1/signal", True),
        ("/v1/signal", "/v1/signals", False),
        ("/v1/signal", "/whip", False),
        ("/whip", "/whip/some-id/events", True),
        ("/", "/", True),
        ("/", "/whip", False),
        (view_endpoint("abc"), "/v1/sessions/abc/events", True),
        (view_endpoint("abc"), "/v1/sessions/abcd/events", False),
        (view_endpoint("abc"), "/v1/sessions", False),
    ],
)
def test_a_token_covers_its_endpoint_and_what_is_under_it(endpoint: str, path: str, good: bool) -> None:
    assert Grant(id="x", key="", endpoint=endpoint, expires=0).covers(path) is good


# Who may follow


def by(key: str = "", *, operator: bool = False, token: str = "", endpoint: str = "/v1/signal") -> Caller:
    grant = Grant(id=token, key=key, endpoint=endpoint, expires=0) if token else None
    return Caller("192.0.2.1", key, operator=operator, grant=grant)


@pytest.mark.parametrize(
    ("who", "owner", "may"),
    [
        (by(), by(), True),
        (by("shop"), by("shop"), True),
        (by("shop"), by("bank"), False),
        (by("shop"), by("shop", token="t1"), True),
        (by("staff", operator=True), by("bank"), True),
        (by("shop", token="t1"), by("shop", token="t1"), True),
        (by("shop", token="t1"), by("shop", token="t2"), False),
        (by("shop", token="t1"), by("shop"), False),
        (by("shop", token="v", endpoint=view_endpoint("abc")), by("bank"), True),
        (by("shop", token="v", endpoint=view_endpoint("abcd")), by("bank"), False),
    ],
)
def test_a_session_is_followed_by_those_of_its_key_by_operators_and_with_a_token_for_it(
    who: Caller, owner: Caller, may: bool
) -> None:
    assert may_follow(who, "abc", owner) is may


# Where a request shows it


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({"Authorization": "Bearer abc"}, {"auth_id": "q"}, "abc"),
        ({"Authorization": "bearer  abc "}, {}, "abc"),
        ({"Authorization": "Basic abc"}, {"auth_id": "q"}, "q"),
        ({"kyutai-api-key": "abc", "Authorization": "Bearer of-a-proxy"}, {"auth_id": "q"}, "abc"),
        ({"kyutai-api-key": ""}, {"auth_id": "q"}, ""),
        ({"X-API-Key": "abc"}, {"token": "q"}, "abc"),
        ({"X-API-Key": "of-a-proxy", "Authorization": "Bearer abc"}, {}, "abc"),
        ({"X-API-Key": "abc", "Authorization": "Basic of-a-proxy"}, {}, "abc"),
        ({"X-API-Key": "of-a-proxy", "kyutai-api-key": "abc"}, {}, "abc"),
        ({"Sec-WebSocket-Protocol": "offhook, bearer.xyz"}, {"token": "q"}, "xyz"),
        ({"Sec-WebSocket-Protocol": "bearer.a%2Bb%3D%3D"}, {}, "a+b=="),
        ({"Sec-WebSocket-Protocol": "offhook"}, {"token": "t"}, "t"),
        ({}, {"auth_id": "q", "token": "t"}, "q"),
        ({}, {}, ""),
    ],
)
def test_the_first_place_that_shows_a_key_counts(headers: Mapping[str, Any], query: dict[str, str], found: str) -> None:
    assert credential(headers, query) == found


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        ("offhook, bearer.xyz", ["offhook"]),
        ("bearer.xyz, offhook", ["offhook"]),
        ("bearer.xyz", ["bearer.xyz"]),
        ("other, bearer.xyz", ["bearer.xyz"]),
        ("other", []),
        ("", []),
    ],
)
def test_the_answer_names_what_we_know_and_the_key_only_where_nothing_else_was_offered(
    offer: str, chosen: list[str]
) -> None:
    assert answerable({"Sec-WebSocket-Protocol": offer}, ("offhook",)) == chosen


# Pages


def test_pages_of_other_origins_are_refused_unless_named() -> None:
    host = "voice.example:8080"
    Origins(()).check("https://voice.example:8080", host)
    Origins(("https://shop.example",)).check("https://shop.example", host)
    Origins(("*",)).check("https://any.example", host)
    for origin in ("https://shop.example", "null", "https://voice.example", "https://voice.example:8080.evil.example"):
        with pytest.raises(ForbiddenOrigin):
            Origins(()).check(origin, host)


def test_a_program_sends_no_origin_and_is_let_in() -> None:
    Origins(()).check(None, "voice.example")


@pytest.mark.parametrize("host", ["", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7", "localhost:8080", "app.localhost"])
def test_numbers_and_localhost_are_names_that_no_page_of_others_has(host: str) -> None:
    assert is_own(host)
    Names(()).check(host)


@pytest.mark.parametrize("host", ["evil.example:8080", "localhost.evil.example", "[::1", "127.0.0.1.evil.example", "x"])
def test_other_names_are_refused_where_nobody_is_asked_for_a_key(host: str) -> None:
    assert not is_own(host)
    with pytest.raises(ForbiddenOrigin, match="--no-auth"):
        Names(("https://shop.example",)).check(host)
    Names((f"http://{host}",)).check(host)
    Names(("*",)).check(host)
