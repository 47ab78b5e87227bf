"""moshi-server's pages about itself."""

import json
import re
from dataclasses import replace
from pathlib import Path

from engine.backends import places_of
from signaling.config import Config
from signaling.modules import BuildInfo, modules_info
from tests.signaling.house import OpenHouse

# The fields of moshi-server's own answers (rust/moshi-server/src/utils.rs and main.rs).
BUILD = {
    *("build_timestamp", "build_date", "git_branch", "git_timestamp", "git_date", "git_hash", "git_describe"),
    *("rustc_host_triple", "rustc_version", "cargo_target_triple"),
}
MODULE = {"type", "path", "lm", "audio_tokenizer", "used_slots", "total_slots"}
CONFIG = Config(engine="scripted")


def test_the_build_is_told_in_moshi_servers_fields_all_of_them_text() -> None:
    fields = BuildInfo.read().fields()
    assert fields.keys() - BUILD == {"version"}
    assert all(fields.values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|unknown", fields["git_timestamp"])
    assert "Python" in fields["rustc_version"]


def test_without_a_checkout_git_is_unknown(tmp_path: Path) -> None:
    fields = BuildInfo.read(tmp_path).fields()
    assert {text for name, text in fields.items() if name.startswith("git_")} == {"unknown"}


def test_the_places_that_are_left_are_those_that_would_be_given() -> None:
    [module] = modules_info(CONFIG, 8, 5)
    assert module.keys() == MODULE
    assert all(isinstance(text, str) for text in module.values())
    assert (module["used_slots"], module["total_slots"]) == ("3", "8")


def test_a_model_is_named_where_there_is_one() -> None:
    [moshi] = modules_info(replace(CONFIG, engine="moshi"), 1, 1)
    [other] = modules_info(CONFIG, 1, 1)
    assert (moshi["lm"], moshi["audio_tokenizer"]) == (CONFIG.model, "mimi")
    assert (other["lm"], other["audio_tokenizer"]) == ("scripted", "none")


async def test_the_pages_are_open_and_another_server_learns_its_places_from_them(open_house: OpenHouse) -> None:
    house = await open_house(capacity=3, keys=("sk-secret-of-a-house",))
    stream = await house.engine.open()
    async with house.http.get(f"{house.url}/api/modules_info") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        body = await response.read()
    assert json.loads(body)[0]["path"] == "/api/asr-streaming"
    assert places_of(body) == (1, 3)
    house.switchboard.draining = True
    async with house.http.get(f"{house.url}/api/modules_info") as response:
        assert places_of(await response.read()) == (3, 3)
    async with house.http.get(f"{house.url}/api/build_info") as response:
        assert response.status == 200
        assert (await response.json()).keys() >= BUILD
    await stream.close()
