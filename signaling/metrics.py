"""Figures for Prometheus: what an operator watches. They hold no words, ids or addresses.

Each server has a registry of its own. Whoever sees something happen says it to `Metrics` by one short call; how the
engine is, and how many sessions live, is asked when the figures are. moshi-server's own figures (its metrics.rs) stand
beside ours by its names, labels and buckets, so that its users' dashboards show this server too.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from engine.base import STEP_BOUNDS, Engine, Load, Stats, Upkeep
from media.events import Quality
from signaling.errors import wire_error

CONTENT_TYPE = CONTENT_TYPE_LATEST
STEP = 0.08  # seconds: engines answer once a step, so finer buckets would tell nothing
LATENCIES = tuple(round(steps * STEP, 2) for steps in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 100))
DELAYS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
OPINIONS = (1.5, 2.0, 2.5, 3.0, 3.4, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4)

# What a transport counts (`Transport.figures`), and the counters that it adds to.
PACKETS = ("received", "expected", "lost", "repaired", "late", "reordered", "duplicate", "undecodable", "foreign")
SECONDS = ("concealed_seconds", "silent_seconds", "dropped_seconds")

CONNECTION_STEPS = (2, 25, 125, 250, 500, 750, 1_125, 1_500, 2_250, 3_000, 4_500)
# The Python client would name a counter asr_connect_total, and call it so in its help.
CONNECT = """\
# HELP asr_connect Number of connections to the asr.
# TYPE asr_connect counter
asr_connect{{handler="all"}} {}
"""


class Metrics:
    """One server's figures."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._ended = Counter("offhook_sessions_ended", "Sessions, by what ended them", ["reason"], registry=registry)
        self._refused = Counter("offhook_refused", "Requests and calls refused, by why", ["code"], registry=registry)
        self._waited = Counter("offhook_queue", "Waits for a place, by how they ended", ["outcome"], registry=registry)
        self._opened = Counter("offhook_sessions_opened", "Sessions begun", ["door"], registry=registry)
        self._by_key = CollectorRegistry()  # names of keys are the operator's own affair
        self._opened_by_key = Counter(
            "offhook_key_sessions_opened", "Sessions begun", ["key", "door"], registry=self._by_key
        )
        self._word = _histogram(registry, "word_latency_seconds", "From speaking a word to telling it", LATENCIES)
        self._mos = _histogram(registry, "quality_mos", "Quality of the line (E-model), every 2 s of a call", OPINIONS)
        self._jitter = _histogram(registry, "jitter_seconds", "Interarrival jitter, every 2 s of a call", DELAYS)
        self._round_trip = _histogram(registry, "round_trip_seconds", "Round trip, every 2 s of a call", DELAYS)
        self._lag = _histogram(registry, "loop_lag_seconds", "How late the event loop is, every 50 ms", LAGS)
        packets = Counter("offhook_packets", "Audio packets, by what became of them", ["kind"], registry=registry)
        seconds = Counter("offhook_audio_seconds", "Seconds of audio made up or lost", ["kind"], registry=registry)
        self._counted = {
            **{name: packets.labels(name) for name in PACKETS},
            **{name: seconds.labels(name.removesuffix("_seconds")) for name in SECONDS},
            "digits": Counter("offhook_digits", "Keys pressed", registry=registry),
            "digits_dropped": Counter("offhook_digits_dropped", "Keys pressed too fast", registry=registry),
            "events_dropped": Counter("offhook_events_dropped", "Events not read in time", registry=registry),
            "refused": Counter("offhook_datagrams_refused", "Datagrams from who was no caller", registry=registry),
            "abandoned": Counter("offhook_closes_abandoned", "Closes that took too long", registry=registry),
        }
        self._readers = Counter("offhook_listeners_let_go", "Listeners that read too slowly", registry=registry)
        self._connections = 0
        self._steps = _Connections()
        registry.register(self._steps)

    def watch(self, engine: Engine, live: Callable[[], int]) -> None:
        """Tell also of this engine, and of the sessions that live."""
        self._registry.register(_EngineCollector(engine))
        Gauge("offhook_sessions_live", "Sessions that have not ended", registry=self._registry).set_function(live)

    def watch_doors(self, live: Callable[[], Mapping[tuple[str, str], int]], waiting: Callable[[], int]) -> None:
        """Tell also of the sessions that live, by key and door, and of how many callers wait for a place."""
        self._by_key.register(_Live(live))
        Gauge("offhook_queue_length", "Callers who wait for a place", registry=self._registry).set_function(waiting)

    def watch_tasks(self, number: Callable[[], int]) -> None:
        """Tell also of how many tasks the event loop has."""
        Gauge("offhook_tasks", "Tasks of the event loop", registry=self._registry).set_function(number)

    def text(self, *, by_key: bool = False) -> bytes:
        """The figures as Prometheus reads them; with those of each key, where whoever asks may know the keys' names."""
        text = generate_latest(self._registry) + CONNECT.format(self._connections).encode()
        return text + generate_latest(self._by_key) if by_key else text

    def connected(self) -> None:
        """Somebody who may speak here wants a place, whether there is one or not."""
        self._connections += 1

    def opened(self, key: str, door: str) -> None:
        """A session has begun."""
        self._opened.labels(door).inc()
        self._opened_by_key.labels(key, door).inc()

    def waited(self, outcome: str) -> None:
        """A caller waits for a place no longer."""
        self._waited.labels(outcome).inc()

    def ended(self, reason: str, heard: float = 0.0) -> None:
        """A session is over, of which so many seconds were heard."""
        self._ended.labels(reason).inc()
        self._steps.observe(round(heard / STEP))

    def let_go(self) -> None:
        """A listener read its session's events too slowly."""
        self._readers.inc()

    def refused(self, error: BaseException) -> None:
        """A request, or a call that had no session yet, was answered with this error."""
        self._refused.labels(wire_error(error).code).inc()

    def word(self, latency: float | None) -> None:
        """A word was told, so many seconds after it was spoken."""
        if latency is not None:
            self._word.observe(latency)

    def lag(self, seconds: float) -> None:
        """The event loop is so late."""
        self._lag.observe(seconds)

    def quality(self, quality: Quality) -> None:
        """A caller's line was measured."""
        self._mos.observe(quality.mos)
        self._jitter.observe(quality.jitter)
        if quality.round_trip is not None:
            self._round_trip.observe(quality.round_trip)

    def count(self, name: str, more: float) -> None:
        """Something that transports count has grown. What a bent network did is for the log only."""
        if name in self._counted and more > 0:
            self._counted[name].inc(more)


class Tally:
    """One transport's figures as they grow, added up with those of all others."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before: dict[str, float] = {}

    def update(self, figures: Mapping[str, float]) -> None:
        """The transport's figures are now these."""
        for name, figure in figures.items():
            before = self._before.get(name, 0)
            self._metrics.count(name, figure - before)
            self._before[name] = max(before, figure)  # a repair may be taken back, when the packet comes after all


class _Live(Collector):
    """How many sessions live at the moment of the question."""

    def __init__(self, live: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        sessions = GaugeMetricFamily("offhook_key_sessions_live", "Sessions", labels=["key", "door"])
        for (key, door), number in self._live().items():
            sessions.add_metric([key, door], number)
        yield sessions


class _EngineCollector(Collector):
    """How the engine is at the moment of the question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        state = GaugeMetricFamily("offhook_engine_state", "1 for the state that the engine is in", labels=["state"])
        for name in get_args(Stats.__annotations__["state"]):
            state.add_metric([name], stats.state == name)
        yield state
        yield GaugeMetricFamily("offhook_engine_capacity", "Callers at once", stats.capacity)
        yield GaugeMetricFamily("offhook_engine_free", "Callers that would be taken now", stats.free)
        yield CounterMetricFamily("offhook_engine_restarts", "Restarts of the engine", value=stats.restarts)
        admitting = "0 while the engine has too much to do to take another caller"
        yield GaugeMetricFamily("offhook_engine_admitting", admitting, stats.admitting)
        yield from self._load(stats.load)
        yield from self._upkeep(stats.upkeep)
        yield from self._moshi_server(stats)

    def _load(self, load: Load) -> Iterator[Metric]:
        steps = GaugeMetricFamily("offhook_engine_step_seconds", "The recent steps of the batch", labels=["quantile"])
        steps.add_metric(["0.5"], load.step_p50)
        steps.add_metric(["0.99"], load.step_p99)
        yield steps
        yield GaugeMetricFamily("offhook_engine_fill", "Callers in a step, as a share of the places", load.fill)
        yield GaugeMetricFamily("offhook_engine_backlog_seconds", "Audio that waits for the engine", load.backlog)

    def _upkeep(self, upkeep: Upkeep) -> Iterator[Metric]:
        yield CounterMetricFamily("offhook_engine_refreshes", "Times that room was made", value=upkeep.refreshes)
        yield CounterMetricFamily("offhook_engine_stalls", "Times that no word came of speech", value=upkeep.stalls)
        yield CounterMetricFamily("offhook_engine_losses", "Times that figures were not finite", value=upkeep.losses)

    def _moshi_server(self, stats: Stats) -> Iterator[Metric]:
        about = "Number of open channels (users currently connected)."
        channels = GaugeMetricFamily("asr_open_channels", about, labels=["handler"])
        channels.add_metric(["all"], stats.live)
        yield channels
        buckets, seconds = _buckets(STEP_BOUNDS, stats.load.step_counts), stats.load.step_sum
        yield HistogramMetricFamily(
            "asr_model_step_duration", "ASR model step duration distribution.", buckets, sum_value=seconds
        )


class _Connections(Collector):
    """How many steps of the engine each connection lasted. The Python client's own histogram would write the bounds
    in another way than moshi-server ("25.0"), and dashboards select by them."""

    def __init__(self) -> None:
        self._counts = [0] * (len(CONNECTION_STEPS) + 1)
        self._sum = 0

    def observe(self, steps: int) -> None:
        """A connection is over."""
        self._counts[bisect_left(CONNECTION_STEPS, steps)] += 1
        self._sum += steps

    def collect(self) -> Iterator[Metric]:
        about = "ASR model, distribution of number of steps for a connection."
        buckets = _buckets(CONNECTION_STEPS, self._counts)
        yield HistogramMetricFamily("asr_connection_num_steps", about, buckets, sum_value=self._sum)


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Counts between the bounds, as Prometheus has them: each with all that is below it."""
    names = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(map(float, counts)), strict=True))


def _histogram(registry: CollectorRegistry, name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"offhook_{name}", help, buckets=buckets, registry=registry)
