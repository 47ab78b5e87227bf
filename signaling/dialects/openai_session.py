"""The settings of one of OpenAI's Realtime sessions, as far as they mean something where nothing is spoken back.

    {"type": "transcription", "audio": {"input": {"format", "transcription", "turn_detection", …}}}
    {"type": "realtime", the same, and what belongs to answers, which is not looked at}
    {"input_audio_format", "input_audio_transcription", "turn_detection"}      as the beta had it

Only what an update holds is changed. What cannot be used is refused with OpenAI's words; a field that is not known is
passed over, and any model's name is taken. The settings that hold are told in full, by `fields`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, cast, get_args

from signaling.openai_errors import BadParameter
from signaling.turns import Turns

Kind = Literal["transcription", "realtime"]
FormatName = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Eagerness = Literal["low", "medium", "high", "auto"]
RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # of PCM; OpenAI has 24,000 only
OBJECTS: dict[Kind, str] = {"transcription": "realtime.transcription_session", "realtime": "realtime.session"}
BETA_FORMATS: dict[str, FormatName] = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
SEMANTIC_SILENCE: dict[Eagerness, float] = {"low": 2.0, "medium": 0.0, "high": 0.0, "auto": 0.0}
SEMANTIC_PADDING = 0.3  # seconds
LONGEST_TEXT = 2_048  # characters of a prompt or a name
LONGEST_SILENCE = 60_000  # milliseconds
SHOWN = 40  # characters of a wrong value that are repeated

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Format:
    """How samples are written. `rate`: of PCM; G.711 has 8,000."""

    type: FormatName = "audio/pcm"
    rate: int = 24_000

    def fields(self) -> dict[str, Any]:
        """As OpenAI writes it."""
        return {"type": self.type, "rate": self.rate} if self.type == "audio/pcm" else {"type": self.type}


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the caller says of the words. The engine needs none of it; it is told back."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ServerVad:
    """A turn is over after so many milliseconds without speech. What speech is, is for the engine to say: the threshold
    is only told back."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500

    def turns(self) -> Turns:
        """What tells such turns."""
        return Turns(self.silence_duration_ms / 1_000, self.prefix_padding_ms / 1_000)


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """A turn is over once the engine takes what was said for complete."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Eagerness = "auto"

    def turns(self) -> Turns:
        """What tells such turns."""
        return Turns(SEMANTIC_SILENCE[self.eagerness], SEMANTIC_PADDING)


Detection = ServerVad | SemanticVad


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one session. `model`: of a realtime session; `transcription`: None where no words are wanted;
    `detection`: None where the caller commits its turns itself."""

    type: Kind = "transcription"
    model: str | None = None
    format: Format = Format()
    transcription: Transcription | None = Transcription()
    detection: Detection | None = ServerVad()

    def updated(self, session: object) -> "Settings":
        """The settings after an update with this `session`. Raises BadParameter."""
        said = Fields(session, "session")
        audio = said.inner("audio").inner("input")
        return replace(
            self,
            type=said.choice("type", get_args(Kind), self.type),
            model=said.text("model", self.model),
            format=_format(said, audio, self.format),
            transcription=_transcription(said, audio, self.transcription),
            detection=_detection(said, audio, self.detection),
        )

    def fields(self) -> dict[str, Any]:
        """The session in full, as it is told."""
        kind: dict[str, Any] = {"object": OBJECTS[self.type], "type": self.type}
        if self.type == "realtime":
            kind |= {"model": self.model, "output_modalities": ["text"], "instructions": "", "tools": []}
        audio = {
            "format": self.format.fields(),
            "noise_reduction": None,
            "transcription": asdict(self.transcription) if self.transcription else None,
            "turn_detection": asdict(self.detection) if self.detection else None,
        }
        return {**kind, "audio": {"input": audio}, "include": None}


def _format(said: "Fields", audio: "Fields", now: Format) -> Format:
    if said.has("input_audio_format"):
        return Format(BETA_FORMATS[said.choice("input_audio_format", tuple(BETA_FORMATS), "pcm16")])
    if not audio.has("format"):
        return now
    fields = audio.inner("format")
    kind = fields.choice("type", get_args(FormatName), now.type)
    rate = fields.whole("rate", now.rate if kind == now.type else Format().rate, 0, max(RATES))
    if rate not in RATES:
        raise fields.wrong("rate", rate, RATES)
    return Format(kind, rate)


def _transcription(said: "Fields", audio: "Fields", now: Transcription | None) -> Transcription | None:
    fields = said.either("input_audio_transcription", audio, "transcription")
    if fields is None:
        return now
    if fields.is_null:
        return None
    before = now or Transcription()
    return Transcription(
        fields.text("model", before.model),
        fields.text("language", before.language),
        fields.text("prompt", before.prompt),
    )


def _detection(said: "Fields", audio: "Fields", now: Detection | None) -> Detection | None:
    fields = said.either("turn_detection", audio, "turn_detection")
    if fields is None:
        return now
    if fields.is_null:
        return None
    kind = fields.choice("type", ("server_vad", "semantic_vad"), now.type if now else "server_vad")
    if kind == "semantic_vad":
        return SemanticVad(eagerness=fields.choice("eagerness", get_args(Eagerness), SemanticVad().eagerness))
    before = now if isinstance(now, ServerVad) else ServerVad()
    return ServerVad(
        threshold=fields.number("threshold", before.threshold, 0.0, 1.0),
        prefix_padding_ms=fields.whole("prefix_padding_ms", before.prefix_padding_ms, 0, LONGEST_SILENCE),
        silence_duration_ms=fields.whole("silence_duration_ms", before.silence_duration_ms, 0, LONGEST_SILENCE),
    )


class Fields:
    """The fields of an object in a message, and the path to it. What is asked for and is not there is the default that
    is given; what is there and cannot be used raises BadParameter."""

    def __init__(self, value: object, path: str) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise _wrong_type(path, "an object", value)
        self.is_null = value is None
        self._fields: Mapping[str, Any] = value or {}
        self._path = path

    def has(self, name: str) -> bool:
        """Whether the field is there, null or not."""
        return name in self._fields

    def inner(self, name: str) -> "Fields":
        """An object in this one; an empty one where there is none."""
        return Fields(self._fields.get(name), f"{self._path}.{name}")

    def either(self, name: str, other: "Fields", other_name: str) -> "Fields | None":
        """The object by this name, or the one in `other` by its name; None where neither is there."""
        if self.has(name):
            return self.inner(name)
        return other.inner(other_name) if other.has(other_name) else None

    def text(self, name: str, default: str | None) -> str | None:
        """A text, or null."""
        value = self._fields.get(name, default)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(self._at(name), "a string", value)
        if value is not None and len(value) > LONGEST_TEXT:
            raise BadParameter(
                f"Invalid '{self._at(name)}': string too long. Expected a string with maximum length {LONGEST_TEXT}, "
                f"but got a string with length {len(value)} instead.",
                self._at(name),
                "string_above_max_length",
            )
        return value

    def choice(self, name: str, choices: Sequence[C], default: C) -> C:
        """One of the choices."""
        value = self._fields.get(name)
        if value is None:
            return default
        if value not in choices:
            raise self.wrong(name, value, choices)
        return cast(C, value)

    def number(self, name: str, default: float, least: float, most: float, what: str = "decimal") -> float:
        """A number within these bounds."""
        value = self._fields.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong_type(self._at(name), f"a{'n' if what == 'integer' else ''} {what}", value)
        if not least <= value <= most:
            below = value < least
            raise BadParameter(
                f"Invalid '{self._at(name)}': {what} {'below minimum' if below else 'above maximum'} value. Expected a "
                f"value {'>=' if below else '<='} {least if below else most}, but got {value} instead.",
                self._at(name),
                f"{what}_below_min_value" if below else f"{what}_above_max_value",
            )
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within these bounds."""
        return round(self.number(name, default, least, most, "integer"))

    def wrong(self, name: str, value: object, choices: Sequence[object]) -> BadParameter:
        """That a value is none of the choices."""
        return BadParameter(wrong_choice(value, choices), self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}"


def wrong_choice(value: object, choices: Sequence[object]) -> str:
    """That a value is none of these, as OpenAI says it."""
    names = [f"'{choice}'" for choice in choices]
    listed = f"{', '.join(names[:-1])}, and {names[-1]}" if len(names) > 2 else " and ".join(names)
    return f"Invalid value: '{str(value)[:SHOWN]}'. Supported values are: {listed}."


def _wrong_type(path: str, wanted: str, value: object) -> BadParameter:
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array"}
    got = names.get(type(value), "null" if value is None else "an object")
    return BadParameter(f"Invalid type for '{path}': expected {wanted}, but got {got} instead.", path, "invalid_type")
