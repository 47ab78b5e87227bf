"""Networks as they are: what becomes of a packet, decided from a seed. Pure: it is told the time.

`media/relay.py` puts such a network between a caller and a peer. Everything on the path is treated alike: STUN and DTLS
are lost as audio is, since no network would spare them.
"""

from dataclasses import dataclass
from random import Random

PER_PACKET = 5  # chances drawn for every packet, whatever becomes of it
REST = 0.2  # seconds without a packet that a burst does not outlast: it is a time, though it is counted in packets


@dataclass(frozen=True, slots=True)
class Bursts:
    """Losses that come together: the two states of Gilbert (1960) and Elliott (1963), one step a packet.

    Bursts of `leave` = 0.25 last four packets on average, and `enter / (enter + leave)` of all packets are in one.
    """

    enter: float  # the chance that a burst begins with a packet
    leave: float  # the chance that it is over with one
    loss: float = 1.0  # the share lost within a burst


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing comes through during the last `lasts` of every `every` seconds."""

    every: float
    lasts: float

    def holds(self, seconds: float) -> bool:
        """Whether it is dark so many seconds after the network came up."""
        return seconds % self.every >= self.every - self.lasts


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a network does to the packets of each direction. Times are seconds, shares between 0 and 1."""

    loss: float = 0.0  # each packet by its own chance
    bursts: Bursts | None = None
    delay: float = 0.0  # every packet's
    jitter: float = 0.0  # and up to this more, all equally likely
    reordering: bool = False  # a packet may overtake the one before it; otherwise jitter holds up those behind
    duplicate: float = 0.0  # the share that comes twice
    outage: Outage | None = None
    about: str = ""  # what people are told of it


PRESETS = {
    "clean": Impairment(about="nothing happens"),
    "wifi": Impairment(
        bursts=Bursts(enter=0.005, leave=0.4),
        delay=0.003,
        jitter=0.020,
        duplicate=0.001,
        about="short bursts of loss, 1 %; 3 to 23 ms",
    ),
    "lte": Impairment(loss=0.003, delay=0.035, jitter=0.025, about="0.3 % loss; 35 to 60 ms"),
    "loss-5": Impairment(loss=0.05, about="5 % loss"),
    "loss-10": Impairment(loss=0.10, about="10 % loss"),
    "loss-20": Impairment(loss=0.20, about="20 % loss"),
    "bursts": Impairment(bursts=Bursts(enter=0.0132, leave=0.25), about="5 % loss, four packets at a time"),
    "jitter": Impairment(jitter=0.030, reordering=True, about="0 to 30 ms, out of order"),
    "outage-1s": Impairment(outage=Outage(every=10.0, lasts=1.0), about="dark for 1 s in every 10 s"),
    "outage-20s": Impairment(outage=Outage(every=60.0, lasts=20.0), about="dark for 20 s in every 60 s"),
}


class Path:
    """One direction through a network. What becomes of the n-th packet depends on the seed and on n; the time matters
    only for outages, for bursts that end in a pause, and for being held up by the packets before it."""

    def __init__(self, impairment: Impairment, seed: int | str, began: float = 0.0) -> None:
        """`began`: when the network came up, from which its outages are counted."""
        self._impairment = impairment
        self._random = Random(seed)
        self._began = began
        self._in_burst = False
        self._sent = began  # when the packet before was sent
        self._last = began  # when it arrives

    def deliveries(self, now: float) -> tuple[float, ...]:
        """When a packet sent at `now` arrives: once, twice, or never."""
        chance, burst, delay, again, delay_again = (self._random.random() for _ in range(PER_PACKET))
        if self._is_lost(chance, burst, now):
            return ()
        arrivals = [self._arrival(delay, now)]
        if again < self._impairment.duplicate:
            arrivals.append(self._arrival(delay_again, now))
        return tuple(arrivals)

    def _is_lost(self, chance: float, burst: float, now: float) -> bool:
        impairment = self._impairment
        loss = impairment.loss
        if impairment.bursts is not None:
            self._in_burst = self._is_in_burst(burst, impairment.bursts, now - self._sent)
            loss = max(loss, impairment.bursts.loss) if self._in_burst else loss
        self._sent = now
        dark = impairment.outage is not None and impairment.outage.holds(now - self._began)
        return dark or chance < loss

    def _is_in_burst(self, chance: float, bursts: Bursts, pause: float) -> bool:
        return chance >= bursts.leave if self._in_burst and pause < REST else chance < bursts.enter

    def _arrival(self, chance: float, now: float) -> float:
        arrival = now + self._impairment.delay + chance * self._impairment.jitter
        if not self._impairment.reordering:
            arrival = max(arrival, self._last)
        self._last = arrival
        return arrival
