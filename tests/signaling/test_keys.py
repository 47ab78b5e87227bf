import pytest

from signaling.keys import BadKey, Key, check_together, parse_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("public_token", Key("public_token")),
        ("c2VjcmV0+/==", Key("c2VjcmV0+/==")),
        ("shop:a-good-key", Key("a-good-key", "shop")),
        ("shop:a-good-key:12", Key("a-good-key", "shop", 12)),
    ],
)
def test_a_key_may_have_a_name_and_a_limit(text: str, key: Key) -> None:
    assert parse_key(text) == key
    assert parse_key(text, operator=True).operator


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("short", "8 or more"),
        ("has a space in it", "8 or more"),
        ("schlüssel-mit-umlaut", "8 or more"),
        ("per%20cent", "8 or more"),
        ("shop:short", "8 or more"),
        ("a shop:a-good-key", "name"),
        (":a-good-key", "name"),
        ("shop:a-good-key:", "limit"),
        ("shop:a-good-key:0", "limit"),
        ("shop:a-good-key:-1", "limit"),
        ("shop:a-good-key:٣", "limit"),
        ("shop:a-good-key:1e3", "limit"),
        (f"shop:a-good-key:{'9' * 5_000}", "limit"),
        ("a:b:c:d", "NAME:KEY:LIMIT"),
        ("x" * 257, "8 or more"),
    ],
)
def test_a_key_that_cannot_work_is_refused_without_being_repeated(text: str, named: str) -> None:
    with pytest.raises(BadKey, match=named) as refusal:
        parse_key(text)
    assert text not in str(refusal.value)
    assert "good" not in str(refusal.value)


def test_keys_that_replace_one_another_share_a_name_and_a_limit() -> None:
    check_together([parse_key("shop:the-old-key:3"), parse_key("shop:the-new-key:3"), parse_key("some-other-key")])
    with pytest.raises(BadKey, match="shop differ"):
        check_together([parse_key("shop:the-old-key:3"), parse_key("shop:the-new-key:4")])
    with pytest.raises(BadKey, match="shop differ"):
        check_together([parse_key("shop:the-old-key"), parse_key("shop:the-new-key", operator=True)])
    with pytest.raises(BadKey, match="twice"):
        check_together([parse_key("one-good-key"), parse_key("shop:one-good-key")])


def test_a_key_does_not_show_its_secret() -> None:
    assert "a-good-key" not in repr(parse_key("shop:a-good-key"))
