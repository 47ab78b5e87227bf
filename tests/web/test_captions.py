"""The cases by which the browser's captions are tested are what the server writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from signaling.captions import VTT_OPENING, Spoken, cues_of, srt, vtt

CASES = json.loads((Path(__file__).parent / "captions.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_server_writes_the_same(case: dict[str, Any]) -> None:
    cues = cues_of([[Spoken(*word) for word in words] for words in case["utterances"]])
    assert "".join(srt(number, cue) for number, cue in enumerate(cues, 1)) == case["srt"]
    assert VTT_OPENING + "".join(map(vtt, cues)) == case["vtt"]
