"""What is known of a server's places."""

from engine.occupancy import Occupancy


def known(used: int, total: int) -> Occupancy:
    occupancy = Occupancy(64)
    occupancy.told(used, total)
    return occupancy


def test_a_server_that_has_told_nothing_has_the_places_assumed() -> None:
    occupancy = Occupancy(64)
    occupancy.take()
    assert (occupancy.total, occupancy.free) == (64, 63)
    occupancy.untold()
    assert (occupancy.total, occupancy.free) == (64, 63)


def test_what_others_take_is_not_free() -> None:
    assert known(used=3, total=4).free == 1


def test_ours_are_not_counted_twice() -> None:
    occupancy = known(used=0, total=4)
    occupancy.take()
    occupancy.told(used=2, total=4)
    assert occupancy.free == 2
    occupancy.take()
    assert occupancy.free == 1


def test_a_place_that_we_have_just_left_is_nobody_elses_although_the_server_still_counts_it() -> None:
    occupancy = known(used=0, total=4)
    occupancy.take()
    occupancy.leave()
    occupancy.told(used=1, total=4)
    assert occupancy.free == 4
    occupancy.told(used=1, total=4)  # it has had time enough: this is somebody else
    assert occupancy.free == 3


def test_a_server_that_says_full_has_no_place_until_it_tells_again() -> None:
    occupancy = known(used=0, total=4)
    occupancy.take()
    occupancy.refused()
    assert (occupancy.free, occupancy.all_ours) == (0, False)
    occupancy.told(used=2, total=4)
    assert occupancy.free == 2


def test_a_house_full_of_our_own_is_known_to_be_full() -> None:
    occupancy = known(used=0, total=2)
    occupancy.take()
    assert not occupancy.all_ours
    occupancy.take()
    assert occupancy.all_ours


def test_a_server_that_has_become_smaller_has_no_place() -> None:
    occupancy = known(used=0, total=4)
    for _ in range(3):
        occupancy.take()
    occupancy.told(used=3, total=2)
    assert (occupancy.free, occupancy.all_ours) == (0, True)
