import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.errors import BadMessage, OutOfOrder, TooLarge
from signaling.negotiation import (
    MESSAGE_LIMIT,
    TABLE,
    TYPES,
    AddCandidate,
    Begin,
    Goodbye,
    Negotiation,
    Rejoin,
    Resume,
    State,
)

MESSAGES = {
    "offer": {"type": "offer", "sdp": "v=0"},
    "restart": {"type": "restart", "sdp": "v=0"},
    "candidate": {"type": "candidate", "candidate": {"candidate": "candidate:1"}},
    "resume": {"type": "resume", "session": "s", "token": "t", "seq": 3},
    "bye": {"type": "bye"},
}
PATHS: dict[State, list[str]] = {"new": [], "back": ["resume"], "up": ["offer"], "over": ["bye"]}


def at(state: State) -> Negotiation:
    negotiation = Negotiation()
    for kind in PATHS[state]:
        negotiation.receive(json.dumps(MESSAGES[kind]))
    assert negotiation.state == state
    return negotiation


def test_a_call_begins_gets_candidates_restarts_and_ends() -> None:
    negotiation = Negotiation()
    said = [negotiation.receive(json.dumps(MESSAGES[kind])) for kind in ("offer", "candidate", "restart", "bye")]
    assert said == [Begin("v=0"), AddCandidate({"candidate": "candidate:1"}), Rejoin("v=0"), Goodbye()]


def test_a_call_that_comes_back_shows_its_token_then_offers() -> None:
    negotiation = Negotiation()
    assert negotiation.receive(json.dumps(MESSAGES["resume"])) == Resume("s", "t", 3)
    assert negotiation.receive(json.dumps(MESSAGES["offer"])) == Rejoin("v=0")


def test_no_more_candidates_is_said_with_null() -> None:
    assert at("up").receive('{"type":"candidate","candidate":null}') == AddCandidate(None)


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("kind", TYPES)
def test_what_the_table_does_not_hold_is_out_of_order_and_changes_nothing(state: State, kind: str) -> None:
    negotiation = at(state)
    if (state, kind) in TABLE:
        negotiation.receive(json.dumps(MESSAGES[kind]))
        assert negotiation.state == TABLE[state, kind][1]
    else:
        with pytest.raises(OutOfOrder, match=kind):
            negotiation.receive(json.dumps(MESSAGES[kind]))
        assert negotiation.state == state


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "{",
        "[]",
        "null",
        '"offer"',
        "{}",
        '{"type":1}',
        '{"type":["offer"]}',
        '{"type":"answer","sdp":"v=0"}',
        '{"type":"offer"}',
        '{"type":"offer","sdp":7}',
        '{"type":"resume","session":"s"}',
        '{"type":"resume","session":"s","token":"t","seq":-1}',
        '{"type":"resume","session":"s","token":"t","seq":true}',
        "[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_refused_and_changes_nothing(message: str | bytes) -> None:
    negotiation = Negotiation()
    with pytest.raises(BadMessage):
        negotiation.receive(message)
    assert negotiation.state == "new"


def test_a_message_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        Negotiation().receive(json.dumps({"type": "offer", "sdp": "x" * MESSAGE_LIMIT}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_gets_an_action_or_a_typed_refusal(value: object) -> None:
    for state in PATHS:
        negotiation = at(state)
        for kind in TYPES:
            for fields in (
                {"type": kind, "sdp": value, "candidate": value, "session": value, "token": value, "seq": value},
                value,
            ):
                try:
                    negotiation.receive(json.dumps(fields))
                except (BadMessage, OutOfOrder, TooLarge):
                    continue
