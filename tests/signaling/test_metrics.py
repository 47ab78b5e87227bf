from dataclasses import fields

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine import load
from engine.base import FRAME_SAMPLES, EngineConfig
from engine.errors import Full
from engine.events import Mark
from media.events import Quality
from media.stats import TrackStats
from signaling.errors import BadMessage
from signaling.metrics import Metrics, Tally

QUALITY = Quality(0.05, 0.04, 0.0, 0.01, 0.02, jitter=0.004, round_trip=0.04, mos=4.2)


def read(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample, as Prometheus reads it."""
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_sessions_are_counted_by_what_ended_them_and_refusals_by_why() -> None:
    metrics = Metrics()
    for reason in ("bye", "bye", "lost"):
        metrics.ended(reason)
    for error in (Full("all taken"), BadMessage("what?"), ZeroDivisionError()):
        metrics.refused(error)
    assert read(metrics, "offhook_sessions_ended_total", reason="bye") == 2
    assert read(metrics, "offhook_sessions_ended_total", reason="lost") == 1
    assert [read(metrics, "offhook_refused_total", code=code) for code in ("busy", "bad_message", "internal")] == [
        1
    ] * 3


def test_a_line_is_sampled_and_an_unknown_round_trip_is_not() -> None:
    metrics = Metrics()
    metrics.quality(QUALITY)
    metrics.quality(Quality(0.0, 0.0, 0.0, 0.0, 0.0, jitter=0.0, round_trip=None, mos=4.4))
    assert read(metrics, "offhook_quality_mos_count") == 2
    assert read(metrics, "offhook_quality_mos_bucket", le="4.2") == 1
    assert read(metrics, "offhook_round_trip_seconds_count") == 1
    assert read(metrics, "offhook_jitter_seconds_sum") == 0.004


def test_word_latency_falls_into_buckets_of_whole_steps() -> None:
    metrics = Metrics()
    for latency in (0.079, 0.081, None):
        metrics.word(latency)
    assert read(metrics, "offhook_word_latency_seconds_bucket", le="0.08") == 1
    assert read(metrics, "offhook_word_latency_seconds_bucket", le="0.16") == 2
    assert read(metrics, "offhook_word_latency_seconds_count") == 2


def test_what_transports_count_is_added_up_over_all_of_them() -> None:
    metrics = Metrics()
    for tally in (Tally(metrics), Tally(metrics)):
        tally.update({"received": 10, "concealed_seconds": 0.5})
        tally.update({"received": 25, "concealed_seconds": 0.5, "digits": 3, "refused": 7, "abandoned": 1, "else": 9})
    assert read(metrics, "offhook_packets_total", kind="received") == 50
    assert read(metrics, "offhook_packets_total", kind="lost") == 0
    assert read(metrics, "offhook_audio_seconds_total", kind="concealed") == 1.0
    assert read(metrics, "offhook_digits_total") == 6
    assert read(metrics, "offhook_datagrams_refused_total") == 14
    assert read(metrics, "offhook_closes_abandoned_total") == 2


@pytest.mark.parametrize("name", [*(field.name for field in fields(TrackStats)), "refused", "abandoned"])
def test_everything_that_a_call_counts_is_counted(name: str) -> None:
    metrics = Metrics()
    Tally(metrics).update({name: 7})
    samples = [
        sample
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    assert [sample.value for sample in samples if sample.value] == [7]


def test_a_figure_that_falls_back_is_not_counted_again() -> None:
    metrics = Metrics()
    tally = Tally(metrics)
    for repaired in (5, 4, 6):
        tally.update({"repaired": repaired})
    assert read(metrics, "offhook_packets_total", kind="repaired") == 6


async def test_the_engine_and_the_live_sessions_are_asked_when_the_figures_are() -> None:
    metrics, engine, live = Metrics(), load(EngineConfig("scripted", capacity=3)), 0
    metrics.watch(engine, lambda: live)
    assert read(metrics, "offhook_engine_state", state="new") == 1
    assert read(metrics, "offhook_engine_free") == 0
    await engine.start()
    stream, live = await engine.open(), 2
    assert read(metrics, "offhook_engine_state", state="ready") == 1
    assert read(metrics, "offhook_engine_state", state="new") == 0
    assert read(metrics, "offhook_engine_capacity") == 3
    assert read(metrics, "offhook_engine_free") == 2
    assert read(metrics, "offhook_engine_restarts_total") == 0
    assert read(metrics, "offhook_sessions_live") == 2
    assert read(metrics, "offhook_engine_admitting") == 1
    await stream.feed(np.zeros(FRAME_SAMPLES, dtype=np.float32))
    await anext(stream)
    median = read(metrics, "offhook_engine_step_seconds", quantile="0.5")
    assert median is not None
    assert 0 < median < 1
    assert read(metrics, "offhook_engine_fill") == pytest.approx(1 / 3)
    assert read(metrics, "offhook_engine_backlog_seconds") == 0
    upkeep = [read(metrics, f"offhook_engine_{name}_total") for name in ("refreshes", "stalls", "losses")]
    assert upkeep == [0, 0, 0]
    await stream.close()
    await engine.close()


async def test_moshi_servers_figures_have_its_names_labels_and_buckets() -> None:
    metrics, engine = Metrics(), load(EngineConfig("scripted", capacity=3))
    metrics.watch(engine, lambda: 0)
    await engine.start()
    stream = await engine.open()
    await stream.feed(np.zeros(3 * FRAME_SAMPLES, dtype=np.float32))
    stream.mark(1)
    while await anext(stream) != Mark(1):
        pass
    metrics.connected()
    metrics.ended("bye", heard=2.0)
    metrics.ended("bye", heard=0.1)
    lines = metrics.text().decode().splitlines()
    for figure in (
        *("# HELP asr_connect Number of connections to the asr.", "# TYPE asr_connect counter"),
        *('asr_connect{handler="all"} 1', "# TYPE asr_open_channels gauge", 'asr_open_channels{handler="all"} 1.0'),
        *("# TYPE asr_model_step_duration histogram", "# TYPE asr_connection_num_steps histogram"),
        *('asr_connection_num_steps_bucket{le="2"} 1.0', 'asr_connection_num_steps_bucket{le="25"} 2.0'),
        *('asr_connection_num_steps_bucket{le="4500"} 2.0', 'asr_connection_num_steps_bucket{le="+Inf"} 2.0'),
        *("asr_connection_num_steps_count 2.0", "asr_connection_num_steps_sum 26.0"),
    ):
        assert figure in lines
    bounds = [line.partition('le="')[2].partition('"')[0] for line in lines if "asr_model_step_duration_bucket" in line]
    assert bounds == ["0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "0.08", "+Inf"]
    steps, seconds = (read(metrics, f"asr_model_step_duration_{name}") for name in ("count", "sum"))
    assert steps is not None
    assert steps >= 3
    assert seconds == engine.stats().load.step_sum
    await stream.close()
    await engine.close()


def test_two_servers_in_one_process_do_not_count_together() -> None:
    first, second = Metrics(), Metrics()
    first.ended("bye")
    assert read(second, "offhook_sessions_ended_total", reason="bye") is None
