from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from signaling.line import FairLine


def line(length: int, *joining: str) -> FairLine[str]:
    """A line that these have joined, in this order; the first letter is the asker."""
    made: FairLine[str] = FairLine(length)
    for who in joining:
        made.join(who[0], who)
    return made


def served(waiting: FairLine[str]) -> list[str]:
    """Everybody, as they are served."""
    order = []
    while first := waiting.first:
        order.append(first)
        waiting.serve()
    return order


def test_those_of_one_asker_come_in_the_order_in_which_they_came() -> None:
    assert served(line(9, "a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_askers_take_turns() -> None:
    waiting = line(9, "a1", "a2", "a3", "b1", "c1", "b2")
    assert waiting.order() == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert served(waiting) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_was_served_and_comes_again_stands_behind_the_others() -> None:
    waiting = line(9, "a1", "a2", "b1")
    waiting.serve()
    waiting.join("c", "c1")
    assert waiting.order() == ["b1", "a2", "c1"]
    waiting.serve()
    waiting.join("b", "b2")
    assert waiting.order() == ["a2", "c1", "b2"]


def test_who_leaves_gives_the_place_to_the_next_of_the_same_asker() -> None:
    waiting = line(9, "a1", "a2", "b1")
    waiting.leave("a", "a1")
    waiting.leave("a", "a1")
    waiting.leave("x", "x1")
    assert waiting.order() == ["a2", "b1"]
    waiting.leave("a", "a2")
    assert served(waiting) == ["b1"]


def test_a_full_line_refuses_who_comes() -> None:
    waiting = line(2, "a1", "b1")
    assert waiting.join("c", "c1") == "c1"
    assert waiting.join("a", "a2") == "a2"
    assert waiting.order() == ["a1", "b1"]


def test_who_has_filled_the_line_makes_room_for_others_with_its_last() -> None:
    waiting = line(4, "a1", "a2", "a3", "a4")
    assert waiting.join("b", "b1") == "a4"
    assert waiting.join("b", "b2") == "a3"
    assert waiting.join("b", "b3") == "b3"
    assert waiting.join("c", "c1") == "a2"
    assert waiting.order() == ["a1", "b1", "c1", "b2"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["join", "serve", "leave"])), max_size=60))
def test_the_line_is_never_longer_than_it_may_be_and_nobody_stands_in_it_twice(steps: list[tuple[str, str]]) -> None:
    waiting: FairLine[str] = FairLine(5)
    for number, (asker, step) in enumerate(steps):
        before = waiting.order()
        if step == "join":
            displaced = waiting.join(asker, f"{asker}{number}")
            assert (displaced is not None) == (len(before) == 5)
        elif step == "leave":
            for who in [who for who in before if who[0] == asker][:1]:
                waiting.leave(asker, who)
        elif before:
            waiting.serve()
            assert waiting.order() == before[1:] or Counter(waiting.order()) == Counter(before[1:])
        order = waiting.order()
        assert len(order) == len(set(order)) == len(waiting) <= 5
        assert waiting.first == (order[0] if order else None)
