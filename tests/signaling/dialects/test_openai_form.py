"""What a form for OpenAI's transcriptions asks for."""

import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.dialects.openai_form import LONGEST_NAME, MOST_WARNINGS, WARNING_HEADER, Asked
from signaling.openai_errors import BadParameter

# RFC 9651: a list of strings, as sections 3.1 and 3.3.3 have them.
STRING = r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
LIST_OF_STRINGS = re.compile(rf"{STRING}(?:, {STRING})*")


def asked(**fields: str) -> Asked:
    return Asked.read({name: [value] for name, value in fields.items()})


def warned(fields: Mapping[str, Sequence[str]]) -> str:
    return Asked.read(fields).headers.get(WARNING_HEADER, "")


def test_nothing_but_a_file_is_asked_to_be_json() -> None:
    assert Asked.read({}) == Asked("json", frozenset())
    assert asked(model="whisper-1", response_format="", stream="").headers == {}


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-transcribe", "kyutai/stt-1b-en_fr", "", "☃"])
def test_any_model_is_taken(model: str) -> None:
    assert asked(model=model) == Asked("json", frozenset())


@pytest.mark.parametrize(
    ("fields", "granularities"),
    [
        ({}, {"segment"}),
        ({"timestamp_granularities[]": ["word"]}, {"word"}),
        ({"timestamp_granularities[]": ["word", "segment"]}, {"word", "segment"}),
        ({"timestamp_granularities": ["segment"]}, {"segment"}),
    ],
)
def test_times_are_those_that_are_asked_for(fields: dict[str, list[str]], granularities: set[str]) -> None:
    assert Asked.read({**fields, "response_format": ["verbose_json"]}).granularities == granularities


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"response_format": "mp3"}, "response_format", "invalid_value"),
        ({"response_format": "JSON"}, "response_format", "invalid_value"),
        ({"response_format": "diarized_json"}, "response_format", "unsupported_value"),
        ({"response_format": "srt", "stream": "true"}, "response_format", "invalid_value"),
        ({"stream": "perhaps"}, "stream", "invalid_value"),
        (
            {"response_format": "verbose_json", "timestamp_granularities[]": "sentence"},
            "timestamp_granularities",
            "invalid_value",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_name(fields: dict[str, str], param: str, code: str) -> None:
    with pytest.raises(BadParameter) as refused:
        asked(**fields)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert str(refused.value).endswith(".")


def test_a_value_that_is_told_back_is_short() -> None:
    with pytest.raises(BadParameter) as refused:
        asked(response_format="x" * 100_000)
    assert len(str(refused.value)) < 200
    assert len(asked(language="x" * 100_000).language) == LONGEST_NAME


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"language": ["fr"]}, "language"),
        ({"languages[]": ["fr", "en"]}, "languages"),
        ({"prompt": ["Kyutai"]}, "prompt"),
        ({"keywords[]": ["Kyutai"]}, "keywords"),
        ({"temperature": ["0.4"]}, "temperature"),
        ({"include[]": ["logprobs"]}, "include"),
        ({"chunking_strategy[type]": ["server_vad"], "chunking_strategy[threshold]": ["0.5"]}, "chunking_strategy"),
        ({"known_speaker_names[]": ["agent"]}, "known_speaker_names"),
        ({"known_speaker_references[]": ["data:audio/wav;base64,AAA"]}, "known_speaker_references"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities"),
    ],
)
def test_what_has_no_effect_is_named_with_the_reason(fields: dict[str, list[str]], name: str) -> None:
    header = warned(fields)
    assert header.startswith(f'"{name} has no effect: ')
    assert header.count(",") == 0


@pytest.mark.parametrize("fields", [{"temperature": ["0"]}, {"prompt": [" "]}, {"chunking_strategy": ["auto"]}])
def test_what_is_done_anyway_is_no_warning(fields: dict[str, list[str]]) -> None:
    assert warned(fields) == ""


def test_the_language_is_the_engines_where_it_has_but_one() -> None:
    assert Asked.read({"language": ["en"]}, "en") == Asked("json", frozenset(), language="en")
    other = Asked.read({"language": ["fr"]}, "en")
    assert other.language == "en"
    assert other.warnings == ("language has no effect: the engine hears the languages that it knows",)
    assert Asked.read({"language": ["fr"]}).language == "fr"


def test_a_field_that_nobody_knows_is_named() -> None:
    assert warned({"respnse_format": ["srt"], "prompt": ["x"]}) == (
        '"prompt has no effect: the engine takes no hints", "respnse_format is not known"'
    )


@given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3), max_size=30))
def test_whatever_comes_the_header_is_one_that_can_be_sent(fields: dict[str, list[str]]) -> None:
    if header := warned(fields):
        assert LIST_OF_STRINGS.fullmatch(header)
        assert len(header) < 2 * MOST_WARNINGS * (LONGEST_NAME + 20)
