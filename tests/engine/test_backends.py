"""What a server tells of its places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends import SLOTS_LIMIT, places_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["used_slots", "total_slots"]), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("modules", "places"),
    [
        ([{"type": "batched_asr", "used_slots": "3", "total_slots": "64"}], (3, 64)),
        ([{"type": "lm"}, {"used_slots": 1, "total_slots": 2}, {"used_slots": "0", "total_slots": "4"}], (1, 6)),
        ([{"used_slots": "0", "total_slots": "0"}], (0, 0)),
        ([{"total_slots": "8"}], (0, 8)),
        ([{"used_slots": "-1", "total_slots": "many"}], (0, 0)),
        ([{"used_slots": "0", "total_slots": "9" * 10}], (0, SLOTS_LIMIT)),
        ([{"used_slots": "0", "total_slots": "9" * 5_000}], (0, 0)),
        ([{"type": "lm"}], None),
        ([], None),
        ({"total_slots": "8"}, None),
        (None, None),
    ],
)
def test_the_places_are_those_of_all_modules_that_have_any(modules: object, places: tuple[int, int] | None) -> None:
    assert places_of(json.dumps(modules).encode()) == places


def test_a_list_of_lists_without_an_end_tells_nothing() -> None:
    assert places_of(b"[" * 60_000) is None


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_a_server_tells_does_harm(body: bytes) -> None:
    places = places_of(body)
    assert places is None or min(places) >= 0
