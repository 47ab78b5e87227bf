from bench.media.network import PACKET, arrived, journeys, without
from media.impair import PRESETS


def test_a_seed_draws_the_same_network_each_time() -> None:
    assert journeys(200, PRESETS["loss-10"], 3) == journeys(200, PRESETS["loss-10"], 3)
    assert journeys(200, PRESETS["loss-10"], 3) != journeys(200, PRESETS["loss-10"], 4)


def test_more_loss_loses_what_less_loss_lost() -> None:
    some, more = journeys(500, PRESETS["loss-5"], 1), journeys(500, PRESETS["loss-20"], 1)
    assert None in some
    assert all(lost is None for kept, lost in zip(some, more, strict=True) if kept is None)


def test_jitter_stays_within_its_bound_and_changes_the_order() -> None:
    network = journeys(500, PRESETS["jitter"], 1)
    arrivals = [index * PACKET + journey for index, journey in enumerate(network) if journey is not None]
    assert len(arrivals) == 500
    assert all(0.0 <= arrival - index * PACKET <= 0.0301 for index, arrival in enumerate(arrivals))
    assert arrivals != sorted(arrivals)


def test_only_what_is_named_is_lost() -> None:
    assert without(4, {2}) == [0.0, 0.0, None, 0.0]


def test_what_arrived_reaches_from_the_first_packet_to_the_last() -> None:
    assert arrived([None, 0.0, None, 0.0, None]) == (1, 4)
    assert arrived([None, None]) == (0, 0)
