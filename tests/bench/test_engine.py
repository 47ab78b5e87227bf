"""The measurement of a step: the whole of it at tiny size, and what it does on a GPU with the GPU left out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import engine
from bench.step.roofline import H200, SHEETS
from bench.step.trial import Figures, Request, apart, measured
from engine.checkpoint import find
from engine.errors import Unavailable

SMALL = ["--models", "tiny", "--rows", "1", "2", "--steps", "3", "--settle", "2"]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where figures are kept during a test."""
    monkeypatch.setattr("bench.RESULTS", tmp_path)
    return tmp_path


def request_of(who: str) -> Request:
    return Request(who, str(engine.TINY), "cpu", rows=2, steps=3, least=3, seconds=1.0, settle=2)


def test_a_small_run_on_a_processor_measures_both(results: Path) -> None:
    assert engine.main([*SMALL, "--keep"], measure=measured) == 0
    kept = json.loads((results / "engine-cpu.json").read_text())
    points = kept["models"]["tiny"]["points"]
    assert [point["rows"] for point in points] == [1, 2]
    for point in points:
        for who in ("offhook", "moshi"):
            assert point[who]["steps"] == 3
            assert (
                0
                < point["roofline_ms"]
                < point[who]["fastest"]
                <= point[who]["p50"]
                <= point[who]["p99"]
                <= point[who]["worst"]
            )
            assert point[who]["over_roofline"] > 1
    assert {"measured", "torch", "moshi", "attains"} <= kept.keys()
    assert kept["attains"]["source"].startswith("measured")


def test_a_part_is_not_kept(results: Path, h200: "H200s", capsys: pytest.CaptureFixture[str]) -> None:
    assert engine.main(["--device", "cuda", *SMALL], measure=lambda request: dict(PLAIN)) == 0
    assert not list(results.iterdir())
    assert "not kept" in capsys.readouterr().out


def test_a_measurement_is_a_process_of_its_own() -> None:
    told = apart(request_of("offhook"))
    assert told["steps"] == 3
    assert told["memory_gb"] > 0


def test_a_measurement_that_breaks_off_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert apart(request_of("nobody")) == {"broken": "the measurement ended with 1"}
    assert "KeyError: 'nobody'" in capfd.readouterr().err


def test_want_of_memory_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(config: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 100 GiB")

    monkeypatch.setattr("bench.step.trial.load_model", full)
    assert measured(request_of("offhook")) == {"no_memory": "out of memory"}


def test_other_faults_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("bench.step.trial.load_model", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        measured(request_of("offhook"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert engine.main(["--device", "cuda"]) == 1
    assert capsys.readouterr().err.startswith("there is no NVIDIA GPU here")
    assert not list(results.iterdir())


PLAIN: Figures = {"steps": 3, "p50": 1.0, "p99": 2.0, "worst": 3.0, "memory_gb": 1.0}


class H200s:
    """The parts of a run on an H200 that need one: a step takes 2 ms and 0.06 ms a caller, and 1,100 callers fit."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def ask(self, kind: str) -> Figures:
        if kind != "cuda":
            raise Unavailable("this is an H200")
        versions = {"torch": "2.13.0", "moshi": "0.2.13", "cuda": "12.8", "driver": "570.1"}
        return {"kind": kind, "attains": asdict(H200), **versions}

    def measure(self, request: Request) -> Figures:
        self.asked.append(request)
        if request.rows > (1100 if request.who == "offhook" else 600):
            return {"no_memory": "out of memory"}
        ms = (2 + 0.06 * request.rows) * (1 if request.who == "offhook" else 2.5)
        return {"steps": 500, "p50": ms, "p99": 1.1 * ms, "worst": 2 * ms, "memory_gb": 0.1 * request.rows}


@pytest.fixture
def h200(monkeypatch: pytest.MonkeyPatch) -> H200s:
    gpu = H200s()
    monkeypatch.setattr(engine, "ask", gpu.ask)
    monkeypatch.setattr(engine, "checkpoint", lambda name: find(str(engine.TINY)))
    return gpu


def test_a_run_on_a_gpu_makes_the_table_and_judges_it(
    results: Path, h200: H200s, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = engine.main(["--device", "cuda"], measure=h200.measure)
    kept = json.loads((results / "engine-nvidia-h200.json").read_text())
    found = kept["models"]["stt-1b"]
    table, searched = [1, 8, 64, 128, 256, 512, 1024], [1280, 1536, 2048]
    assert [point["rows"] for point in found["points"]] == table + searched
    assert found["largest_in_real_time"] == 1024
    verdicts = {int(one["what"].split()[0]): one["kept"] for one in found["verdicts"]}
    assert verdicts == {64: True, 256: True, 512: True, 1000: False}
    assert missed == 0, "a goal is no must"
    assert found["l40s_estimate"]["is"].startswith("an estimate")
    assert (kept["cuda"], kept["driver"]) == ("12.8", "570.1")
    assert "goal missed" in capsys.readouterr().out


def test_who_ran_out_of_memory_is_not_tried_with_more(results: Path, h200: H200s) -> None:
    engine.main(["--device", "cuda"], measure=h200.measure)
    assert max(request.rows for request in h200.asked if request.who == "moshi") == 1024
    points = json.loads((results / "engine-nvidia-h200.json").read_text())["models"]["stt-1b"]["points"]
    assert next(point for point in points if point["rows"] == 1024)["moshi"] == {"no_memory": "out of memory"}


def test_rows_settle_until_contexts_are_renewed(results: Path, h200: H200s) -> None:
    """Otherwise what a fresh start of the context costs would be in no figure."""
    engine.main(["--device", "cuda"], measure=h200.measure)
    assert {request.settle for request in h200.asked} == {round(0.75 * 50)}


def test_a_run_that_breaks_keeps_what_it_has(results: Path, h200: H200s) -> None:
    def breaks(request: Request) -> Figures:
        if request.rows == 64:
            raise RuntimeError("the machine is taken away")
        return h200.measure(request)

    with pytest.raises(RuntimeError):
        engine.main(["--device", "cuda"], measure=breaks)
    kept = json.loads((results / "engine-nvidia-h200.json").read_text())
    assert [point["rows"] for point in kept["models"]["stt-1b"]["points"]] == [1, 8]


def test_a_measurement_that_breaks_off_is_counted_and_ends_its_row_alone(results: Path, h200: H200s) -> None:
    def breaks(request: Request) -> Figures:
        return {"broken": "..."} if (request.who, request.rows) == ("moshi", 8) else h200.measure(request)

    assert engine.main(["--device", "cuda"], measure=breaks) == 1
    points = json.loads((results / "engine-nvidia-h200.json").read_text())["models"]["stt-1b"]["points"]
    assert [point["rows"] for point in points if "p50" in point.get("moshi", {})] == [1]
    assert [point["rows"] for point in points if "not_tried" in point.get("moshi", {})] == [64, 128, 256, 512, 1024]
    assert [point["rows"] for point in points if "p50" in point["offhook"]][-1] == 1024


def test_bounds_of_what_is_no_longer_tried_are_missed(results: Path, h200: H200s) -> None:
    def small(request: Request) -> Figures:
        return {"no_memory": "..."} if request.rows > 100 else h200.measure(request)

    assert engine.main(["--device", "cuda"], measure=small) == 2
    found = json.loads((results / "engine-nvidia-h200.json").read_text())["models"]["stt-1b"]
    assert found["largest_in_real_time"] == 96


def test_a_missed_must_is_counted(results: Path, h200: H200s) -> None:
    def slow(request: Request) -> Figures:
        figures = h200.measure(request)
        return {**figures, "p99": 50.0} if "p99" in figures else figures

    assert engine.main(["--device", "cuda"], measure=slow) == 2


def test_every_gpu_of_the_table_has_a_name_of_a_file() -> None:
    slugs = {engine._slug("cuda", device) for device in SHEETS.values()}
    assert len(slugs) == len(SHEETS)
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)
