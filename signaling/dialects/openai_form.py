"""What OpenAI's form for a file may ask for. What is asked for and has no effect here is named in warnings, rather than
refused; what cannot be used is refused with its name. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from signaling.openai_errors import BadParameter

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
FORMATS: tuple[Format, ...] = get_args(Format)
STREAMED: tuple[Format, ...] = ("json", "text", "verbose_json")
GRANULARITIES = ("word", "segment")
WARNING_HEADER = "Offhook-Warning"

TRUE = frozenset({"true", "1"})
FALSE = frozenset({"false", "0", ""})
KNOWN = frozenset({"model", "response_format", "stream"})
MOST_WARNINGS = 12
LONGEST_NAME = 40  # characters of what is told back

# What has no effect, and why.
NO_HINTS = "the engine takes no hints"
NO_SPEAKERS = "speakers are not told apart"
HEARS_ITS_OWN = "the engine hears the languages that it knows"
IDLE_OPTIONS = {
    "language": HEARS_ITS_OWN,
    "languages": HEARS_ITS_OWN,
    "prompt": NO_HINTS,
    "keywords": NO_HINTS,
    "temperature": "the engine does not sample",
    "include": "probabilities are not told",
    "chunking_strategy": "the engine finds the pauses itself",
    "known_speaker_names": NO_SPEAKERS,
    "known_speaker_references": NO_SPEAKERS,
}
AS_IT_IS: dict[str, frozenset[str | None]] = {  # what is done anyway
    "temperature": frozenset({"0", "0.0"}),
    "chunking_strategy": frozenset({"auto"}),
}
ONLY_VERBOSE = "only verbose_json has times"

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for. `granularities`: of verbose_json; `language`: that is heard, else that the caller says is
    spoken, else empty; `warnings`: what of it has no effect, and why."""

    format: Format = "json"
    granularities: frozenset[str] = frozenset({"segment"})
    stream: bool = False
    language: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, form: Fields, hears: str | None = None) -> "Asked":
        """From a form's fields; of a field that comes several times and is no list, the last one counts. `hears`: the
        one language of the engine (ISO 639-1), if it has but one. Raises BadParameter."""
        fields = _plain(form)
        format, stream = _format(fields), _stream(fields)
        if stream and format not in STREAMED:
            raise BadParameter(f"A stream has one of the formats {', '.join(STREAMED)}.", "response_format")
        return cls(
            format=format,
            granularities=_granularities(fields) if format == "verbose_json" else frozenset(),
            stream=stream,
            language=hears or _last(fields, "language").strip()[:LONGEST_NAME],
            warnings=_warnings(fields, format, {**AS_IT_IS, "language": frozenset({hears})}),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The warnings as a header: a list of strings (RFC 9651)."""
        return {WARNING_HEADER: ", ".join(map(_quoted, self.warnings))} if self.warnings else {}


def _plain(form: Fields) -> dict[str, list[str]]:
    """The fields by their bare names: `name[]` is an item of a list, and `name[key]` a part of an object."""
    fields: dict[str, list[str]] = {}
    for name, values in form.items():
        fields.setdefault(name.partition("[")[0], []).extend(values)
    return fields


def _last(fields: Fields, name: str) -> str:
    return fields[name][-1] if fields.get(name) else ""


def _format(fields: Fields) -> Format:
    asked = _last(fields, "response_format") or "json"
    if asked == "diarized_json":
        raise BadParameter(
            "Speakers are not told apart here: ask for verbose_json, which has the times of segments and words.",
            "response_format",
            "unsupported_value",
        )
    if asked not in FORMATS:
        raise BadParameter(
            f"There is no response_format {asked[:LONGEST_NAME]!r}; there are {', '.join(FORMATS)}.", "response_format"
        )
    return asked


def _stream(fields: Fields) -> bool:
    asked = _last(fields, "stream").lower()
    if asked not in TRUE | FALSE:
        raise BadParameter("The stream must be true or false.", "stream")
    return asked in TRUE


def _granularities(fields: Fields) -> frozenset[str]:
    asked = frozenset(fields.get("timestamp_granularities", ()))
    if unknown := sorted(asked.difference(GRANULARITIES)):
        raise BadParameter(
            f"There are no times of {unknown[0][:LONGEST_NAME]!r}; there are those of {', '.join(GRANULARITIES)}.",
            "timestamp_granularities",
        )
    return asked or frozenset({"segment"})


def _warnings(fields: Fields, format: Format, as_it_is: Mapping[str, frozenset[str | None]]) -> tuple[str, ...]:
    """What was asked for in vain, each with the reason. `as_it_is`: values of what is done anyway."""
    vain = [
        f"{name} has no effect: {why}"
        for name, why in IDLE_OPTIONS.items()
        if any(value.strip() and value.strip() not in as_it_is.get(name, ()) for value in fields.get(name, ()))
    ]
    if "timestamp_granularities" in fields and format != "verbose_json":
        vain.append(f"timestamp_granularities has no effect: {ONLY_VERBOSE}")
    unknown = fields.keys() - KNOWN - IDLE_OPTIONS.keys() - {"timestamp_granularities"}
    vain += [f"{name[:LONGEST_NAME]} is not known" for name in sorted(unknown)]
    return tuple(vain[:MOST_WARNINGS])


def _quoted(text: str) -> str:
    """A string of RFC 9651 (section 3.3.3), which is ASCII; what is not becomes a question mark."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return '"' + plain.replace("\\", r"\\").replace('"', r"\"") + '"'
