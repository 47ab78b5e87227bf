import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.dialects.openai_session import LONGEST_TEXT, Format, SemanticVad, ServerVad, Settings, Transcription
from signaling.openai_errors import BadParameter

AUDIO = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad", "threshold": 0.9}}}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
INPUT = st.dictionaries(st.sampled_from(["format", "transcription", "turn_detection"]), ANYTHING)


def test_an_update_changes_what_it_holds() -> None:
    settings = Settings().updated({"type": "realtime", "model": "any", "audio": AUDIO})
    again = settings.updated({"audio": {"input": {"transcription": {"language": "fr"}}}})
    assert again.transcription == Transcription("whisper-1", "fr")
    assert again.detection == ServerVad(threshold=0.9)
    assert (again.type, again.model) == ("realtime", "any")


def test_null_turns_off_what_can_be() -> None:
    settings = Settings().updated({"audio": {"input": {"transcription": None, "turn_detection": None}}})
    assert settings.transcription is None
    assert settings.detection is None
    assert settings.updated({"audio": AUDIO}).transcription == Transcription("whisper-1")


def test_another_kind_of_turns_begins_with_its_own_defaults() -> None:
    settings = Settings().updated({"audio": AUDIO}).updated(detecting({"type": "semantic_vad", "eagerness": "low"}))
    assert settings.detection == SemanticVad(eagerness="low")
    assert settings.updated(detecting({"type": "server_vad"})).detection == ServerVad()


def detecting(fields: object) -> dict[str, object]:
    return {"audio": {"input": {"turn_detection": fields}}}


@pytest.mark.parametrize(
    ("eagerness", "silence"),
    [("auto", 0.0), ("high", 0.0), ("low", 2.0)],
)
def test_who_is_less_eager_waits_longer(eagerness: str, silence: float) -> None:
    detection = Settings().updated(detecting({"type": "semantic_vad", "eagerness": eagerness})).detection
    assert detection
    assert detection.turns().silence == silence


def test_what_is_told_can_be_said_again() -> None:
    settings = Settings().updated({"type": "realtime", "audio": AUDIO, "input_audio_format": "g711_alaw"})
    assert settings.format == Format("audio/pcma")
    assert Settings().updated(json.loads(json.dumps(settings.fields()))) == settings


def test_a_text_has_a_limit() -> None:
    with pytest.raises(BadParameter) as told:
        Settings().updated({"audio": {"input": {"transcription": {"prompt": "x" * (LONGEST_TEXT + 1)}}}})
    assert told.value.param == "session.audio.input.transcription.prompt"
    assert told.value.code == "string_above_max_length"


@given(session=ANYTHING | st.builds(lambda audio: {"audio": {"input": audio}}, INPUT))
def test_whatever_comes_is_taken_or_refused(session: object) -> None:
    try:
        settings = Settings().updated(session)
    except BadParameter:
        return
    json.dumps(settings.fields(), allow_nan=False)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number_is_infinite(number: str) -> None:
    with pytest.raises(BadParameter):
        Settings().updated(json.loads(f'{{"turn_detection":{{"type":"server_vad","threshold":{number}}}}}'))
