import pytest

from engine.errors import EngineError, Full, Misuse, Unavailable
from media.errors import BadMedia, BadOffer, MediaError, NotSdp, OfferTooLarge, UnsupportedOffer
from signaling.errors import INTERNAL, WIRE, SignalingError, TooMany, retry_after, sentence, wire_error


def leaves(kind: type[Exception]) -> list[type[Exception]]:
    found = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return found or [kind]


@pytest.mark.parametrize("kind", [*leaves(SignalingError), *leaves(EngineError), *leaves(MediaError)])
def test_every_error_on_purpose_stands_in_the_table(kind: type[Exception]) -> None:
    assert any(base in WIRE for base in kind.__mro__)


@pytest.mark.parametrize(
    ("error", "status", "close"),
    [
        (Full(), 503, 1013),
        (Unavailable("starting"), 503, 1013),
        (NotSdp("not_sdp", "no"), 400, 1008),
        (OfferTooLarge("offer_too_large", "no"), 413, 1009),
        (UnsupportedOffer("no_audio", "no"), 422, 1008),
        (BadOffer("x", "no"), 422, 1008),
        (BadMedia("empty", "no"), 422, 1007),
        (ZeroDivisionError("secret"), 500, 1011),
    ],
)
def test_the_most_specific_entry_decides(error: Exception, status: int, close: int) -> None:
    assert (wire_error(error).status, wire_error(error).close) == (status, close)


def test_what_went_wrong_here_is_told_without_its_text() -> None:
    for error in (ZeroDivisionError("secret"), Misuse("secret"), MediaError("secret")):
        assert "secret" not in sentence(error)
        assert wire_error(error) is INTERNAL  # by which the doors know what to log


def test_waiting_is_advised_where_it_helps() -> None:
    assert retry_after(Full()) == 5
    assert retry_after(TooMany("slow down", retry_after=9)) == 9
    assert retry_after(ZeroDivisionError()) is None
