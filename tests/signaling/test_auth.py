import pytest

from signaling.auth import TOKEN_LIFETIME, Auth, Origins, credential
from signaling.errors import ForbiddenOrigin, Unauthorized

KEYS = ("first-key-123", "second-key-45")


def test_without_keys_everyone_is_let_in() -> None:
    assert Auth(()).check("", now=0.0) == ""


@pytest.mark.parametrize("wrong", ["", "first-key-12", "first-key-1234", "ot_", "ot_99999999999.AAAA", "ot_x.y", "é"])
def test_a_missing_or_wrong_key_is_refused(wrong: str) -> None:
    with pytest.raises(Unauthorized):
        Auth(KEYS).check(wrong, now=0.0)


def test_each_key_is_let_in_under_a_name_that_does_not_show_it() -> None:
    names = {Auth(KEYS).check(key, now=0.0) for key in KEYS}
    assert len(names) == 2
    assert not any(name in key or key in name for name in names for key in KEYS)


def test_a_token_is_good_until_it_expires() -> None:
    auth = Auth(KEYS)
    token, expires = auth.issue_token(now=1_000.0)
    assert expires == 1_000 + TOKEN_LIFETIME
    assert auth.check(token, now=expires - 1.0) == "token"
    with pytest.raises(Unauthorized):
        auth.check(token, now=float(expires))


def test_a_token_is_good_at_another_machine_with_the_same_keys_and_at_no_other() -> None:
    token, _ = Auth(KEYS).issue_token(now=0.0)
    assert Auth(tuple(reversed(KEYS))).check(token, now=1.0) == "token"
    with pytest.raises(Unauthorized):
        Auth(KEYS[:1]).check(token, now=1.0)


def test_a_token_whose_expiry_was_moved_is_refused() -> None:
    auth = Auth(KEYS)
    token, expires = auth.issue_token(now=0.0)
    with pytest.raises(Unauthorized):
        auth.check(token.replace(str(expires), str(expires + 1)), now=0.0)


def test_the_credential_comes_from_the_header_or_the_subprotocol() -> None:
    assert credential("Bearer abc", ["offhook", "bearer.xyz"]) == "abc"
    assert credential("bearer  abc ", []) == "abc"
    assert credential("", ["offhook", "bearer.xyz"]) == "xyz"
    assert credential("Basic abc", ["offhook"]) == ""


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
