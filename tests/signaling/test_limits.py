from signaling.limits import ASKERS_KEPT, RateLimit, Shares


def test_a_minutes_worth_may_come_at_once_and_then_it_waits() -> None:
    limit = RateLimit(per_minute=3)
    assert [limit.take("a", now=0.0) for _ in range(3)] == [0, 0, 0]
    assert limit.take("a", now=0.0) == 20.0


def test_the_wait_that_is_told_is_enough() -> None:
    limit = RateLimit(per_minute=3)
    for _ in range(3):
        limit.take("a", now=0.0)
    wait = limit.take("a", now=5.0)
    assert limit.take("a", now=5.0 + wait) == 0


def test_asking_in_vain_does_not_make_the_wait_longer() -> None:
    limit = RateLimit(per_minute=1)
    limit.take("a", now=0.0)
    for moment in range(30):
        limit.take("a", now=float(moment))
    assert limit.take("a", now=60.0) == 0


def test_one_address_does_not_use_up_another_ones_share() -> None:
    limit = RateLimit(per_minute=1)
    limit.take("a", now=0.0)
    assert limit.take("a", now=0.0) > 0
    assert limit.take("b", now=0.0) == 0


def test_zero_is_no_limit() -> None:
    limit = RateLimit(per_minute=0)
    assert {limit.take("a", now=0.0) for _ in range(1_000)} == {0.0}


def test_a_flood_of_addresses_does_not_grow_the_memory() -> None:
    limit = RateLimit(per_minute=1)
    for number in range(ASKERS_KEPT + 500):
        limit.take(str(number), now=0.0)
    assert len(limit._buckets) == ASKERS_KEPT


def test_shares_are_counted_and_who_has_none_is_forgotten() -> None:
    shares = Shares()
    for _ in range(2):
        shares.take(["address 1", "key shop"])
    shares.take(["address 2", "key shop"])
    assert shares.total == 6
    assert [shares.of(holder) for holder in ("address 1", "address 2", "key shop", "key bank")] == [2, 1, 3, 0]
    shares.give_back(["address 2", "key shop"])
    shares.give_back(["address 1", "key shop"])
    shares.give_back(["address 1", "key shop"])
    assert shares._held == {}
