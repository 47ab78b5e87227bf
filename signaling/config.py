"""Every setting, its environment variable and its default. This is the only file that reads the environment.

A Config is frozen and checks itself: a value that cannot work is refused with a sentence that says what to set.
The command line is made from the same table (see offhook/cli.py).
"""

import dataclasses
import difflib
import ipaddress
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast, get_args

from engine import ENGINES
from engine.address import address
from engine.base import EngineConfig, Timestamps
from engine.errors import Misuse
from media import libopus
from media.errors import BadServer, NoDecoder
from media.ice import IceServer, parse_server
from media.impair import PRESETS
from media.voice import OpusDecoder
from signaling.keys import BadKey, Key, check_together, parse_key

LANGUAGES = {"moonshine": "en", "scripted": "en"}  # of the engines that hear only one
PREFIX = "OFFHOOK_"  # of the variables that are ours alone
LIKE = 0.7  # so near to one of them is a slip, and OFFHOOK_SERVICE_HOST, which Kubernetes sets, is none
MOST_WAITING = 1_000  # each is told of every step forward
_LEAST = {
    **dict.fromkeys(("capacity", "workers", "offers_per_minute", "sessions_per_address", "files_per_minute"), 0),
    **dict.fromkeys(("kept_files", "kept_size"), 0),
    **dict.fromkeys(("max_file_size", "files"), 1),
}


class ConfigError(ValueError):
    """A setting cannot work; the message names it and says what to do."""


def setting(default: Any, help: str, *environment: str) -> Any:
    """A field of Config: its default, its help, and the environment variables that set it, the strongest first."""
    return field(default=default, metadata={"help": help, "environment": environment})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one server runs. Times are seconds."""

    host: str = setting("127.0.0.1", "address to listen on", "OFFHOOK_HOST", "YAP_ADDR")
    port: int = setting(8080, "TCP port to listen on; 0 takes a free one", "OFFHOOK_PORT", "YAP_PORT")
    engine: str = setting("moonshine", f"what turns audio into words: {', '.join(sorted(ENGINES))}", "OFFHOOK_ENGINE")
    capacity: int = setting(
        0, "callers at once; 0 takes what the engine measures", "OFFHOOK_CAPACITY", "MAX_CONCURRENT_SESSIONS"
    )
    workers: int = setting(0, "threads of the embedded engine; 0 is one per core", "OFFHOOK_WORKERS")
    engine_process: bool = setting(True, "run the engine in a supervised process of its own", "OFFHOOK_ENGINE_PROCESS")
    remote_url: tuple[str, ...] = setting(
        (),
        "for --engine remote: the WebSockets of moshi-servers or of other Offhooks, comma-separated",
        "OFFHOOK_REMOTE_URL",
    )
    remote_key: str = setting("", "for --engine remote: their API key", "OFFHOOK_REMOTE_KEY")
    model: str = setting(
        "kyutai/stt-1b-en_fr",
        "for --engine moshi: a directory, or a repository of the hub, which is fetched once",
        "OFFHOOK_MODEL",
        "MODEL_NAME",
    )
    temperature: float = setting(0.0, "for --engine moshi: 0 takes the likeliest word", "OFFHOOK_TEMPERATURE")
    timestamps: str = setting(
        "accurate", "for --engine moshi: accurate, or compatible with moshi-server's", "OFFHOOK_TIMESTAMPS"
    )

    keys: tuple[str, ...] = setting(
        (),
        "API keys, comma-separated, each KEY, NAME:KEY or NAME:KEY:LIMIT (sessions at once); none: nobody is asked",
        "OFFHOOK_KEYS",
        "KYUTAI_API_KEY",
        "TRANSCODIO_API_KEY",
    )
    operator_keys: tuple[str, ...] = setting(
        (), "keys that may also list and follow every session, written as --keys are", "OFFHOOK_OPERATOR_KEYS"
    )
    no_auth: bool = setting(False, "serve without keys on an address other than loopback", "OFFHOOK_NO_AUTH")
    origins: tuple[str, ...] = setting(
        (), "web origins beside our own that may use the server, comma-separated; * is any", "OFFHOOK_ORIGINS"
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "addresses whose X-Forwarded-For is believed, comma-separated", "OFFHOOK_TRUSTED_PROXIES"
    )
    offers_per_minute: int = setting(
        60, "offers a minute from one address; 0 is no limit; keys and loopback have none", "OFFHOOK_OFFERS_PER_MINUTE"
    )
    queue_wait: float = setting(
        0.0,
        "with all places taken, callers wait in line for so many seconds; 0 refuses them",
        "OFFHOOK_QUEUE_WAIT",
    )
    queue_length: int = setting(64, "callers in that line at most", "OFFHOOK_QUEUE_LENGTH")
    sessions_per_address: int = setting(
        16, "live sessions from one address; 0 is no limit; keys and loopback have none", "OFFHOOK_SESSIONS_PER_ADDRESS"
    )

    ice_servers: tuple[str, ...] = setting(
        (),
        "STUN and TURN servers, comma-separated: stun:host:port, 'turn:host:port secret=SECRET' (coturn's) or "
        "'turn:host:port username credential'",
        "OFFHOOK_ICE_SERVERS",
    )
    public_address: str = setting("", "the address that callers see, behind a 1:1 NAT", "OFFHOOK_PUBLIC_ADDRESS")
    udp_ports: str = setting("", "UDP ports for media, FIRST-LAST; empty takes any", "OFFHOOK_UDP_PORTS")
    impair: str = setting(
        "",
        "put every call behind a bad network, for demonstrations and tests; both ways, in UDP packets: "
        f"{'; '.join(f'{name} ({preset.about})' for name, preset in PRESETS.items())}",
        "OFFHOOK_IMPAIR",
    )

    opus_decoder: OpusDecoder = setting(  # noqa: RUF009 - a string, which ruff cannot see through the alias
        "auto",
        "what decodes Opus: libopus itself, which repairs losses from what senders without RED repeat, or pyav; auto "
        "takes libopus where it is found",
        "OFFHOOK_OPUS_DECODER",
    )

    idle_timeout: float = setting(
        30.0, "a call without packets ends after this", "OFFHOOK_IDLE_TIMEOUT", "IDLE_AUDIO_TIMEOUT_SECONDS"
    )
    stream_idle_timeout: float = setting(
        10.0,
        "a socket at /v1/stream or /v1/transcribe ends after so long without bytes",
        "OFFHOOK_STREAM_IDLE_TIMEOUT",
        "IDLE_AUDIO_TIMEOUT_SECONDS",
    )
    speech_timeout: float = setting(
        0.0, "a call without words ends after this, whatever it sends; 0 is no limit", "OFFHOOK_SPEECH_TIMEOUT"
    )
    max_session: float = setting(
        3600.0, "the longest call; announced a minute before", "OFFHOOK_MAX_SESSION", "MAX_SESSION_SECONDS"
    )
    max_file_size: int = setting(
        100, "megabytes (of 1,048,576 bytes) of the largest file taken", "OFFHOOK_MAX_FILE_SIZE", "MAX_FILE_SIZE_MB"
    )
    max_duration: float = setting(
        3600.0, "the longest recording that a file may hold", "OFFHOOK_MAX_DURATION", "MAX_DURATION_SECONDS"
    )
    files: int = setting(
        4, "files transcribed at once; they never take more than half of the engine's places", "OFFHOOK_FILES"
    )
    files_per_minute: int = setting(
        0, "files a minute from one key, or from one address without a key; 0 is no limit", "OFFHOOK_FILES_PER_MINUTE"
    )
    kept_files: int = setting(
        100, "recordings kept on the disk so that they can be played again; 0 keeps none", "OFFHOOK_KEPT_FILES"
    )
    kept_size: int = setting(1_024, "megabytes of all of them together; the oldest makes room", "OFFHOOK_KEPT_SIZE")
    kept_time: float = setting(3_600.0, "seconds for which each of them is kept", "OFFHOOK_KEPT_TIME")
    resume_grace: float = setting(15.0, "a lost call is held for this", "OFFHOOK_RESUME_GRACE")
    connect_timeout: float = setting(15.0, "a call must be connected within this", "OFFHOOK_CONNECT_TIMEOUT")
    drain_timeout: float = setting(20.0, "at the end, callers get this for their last words", "OFFHOOK_DRAIN_TIMEOUT")
    log_level: str = setting("info", "debug, info, warning or error", "OFFHOOK_LOG_LEVEL")

    def __post_init__(self) -> None:
        for check in (self._check_engine, self._check_ranges, self._check_keys, self._check_network):
            check()

    def _check_engine(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(f"there is no engine {self.engine!r}: set --engine to {', '.join(sorted(ENGINES))}")
        if self.engine == "remote":
            self._check_remote()
        if self.timestamps not in get_args(Timestamps):
            raise ConfigError(f"--timestamps {self.timestamps!r}: set it to {' or '.join(get_args(Timestamps))}")
        if not 0 <= self.temperature < math.inf:
            raise ConfigError("--temperature must be a number, 0 or more")

    def _check_remote(self) -> None:
        if not self.remote_url:
            raise ConfigError("--engine remote needs --remote-url, the ws:// or wss:// address of a moshi-server")
        try:
            for url in self.remote_url:
                address(url)
        except Misuse as error:
            raise ConfigError(f"--remote-url: {error}") from None
        if not (self.remote_key.isascii() and self.remote_key.isprintable()):
            raise ConfigError("--remote-key goes into an HTTP header, so it must be printable ASCII")

    def _check_ranges(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"--port {self.port} is not a port: set 0 to 65535")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"--{name.replace('_', '-')} must be {least} or more")
        for name in ("idle_timeout", "stream_idle_timeout", "max_session", "max_duration", "connect_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"--{name.replace('_', '-')} must be more than 0 seconds")
        if not 1 <= self.queue_length <= MOST_WAITING:
            raise ConfigError(f"--queue-length must be 1 to {MOST_WAITING}")
        for name in ("speech_timeout", "resume_grace", "drain_timeout", "queue_wait", "kept_time"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"--{name.replace('_', '-')} must be 0 seconds or more")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ConfigError(f"--log-level {self.log_level!r} is none of debug, info, warning, error")

    def _check_keys(self) -> None:
        if not self.api_keys() and not self.no_auth and not is_loopback(self.host):
            raise ConfigError(
                f"on {self.host} anyone who reaches this machine could use it: set --keys (or say --no-auth)"
            )

    def _check_network(self) -> None:
        self.udp_port_range()
        self.ice()
        self._check_decoder()
        if self.impair and self.impair not in PRESETS:
            raise ConfigError(f"there is no network {self.impair!r}: set --impair to {', '.join(PRESETS)}")
        for name, value in (
            ("public-address", self.public_address),
            *(("trusted-proxies", p) for p in self.trusted_proxies),
        ):
            try:
                if value:
                    ipaddress.ip_address(value)
            except ValueError:
                raise ConfigError(f"--{name}: {value!r} is not an IP address") from None
        for origin in self.origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ConfigError(f"--origins: {origin!r} is not an origin; write it like https://example.org")

    def _check_decoder(self) -> None:
        known = get_args(OpusDecoder)
        if self.opus_decoder not in known:
            raise ConfigError(f"there is no decoder {self.opus_decoder!r}: set --opus-decoder to {' or '.join(known)}")
        try:
            if self.opus_decoder == "libopus":
                libopus.load()
        except NoDecoder as error:
            raise ConfigError(f"--opus-decoder libopus: {error}") from None

    def api_keys(self) -> tuple[Key, ...]:
        """The keys, and then those of operators."""
        keys: list[Key] = []
        for name, texts in (("keys", self.keys), ("operator-keys", self.operator_keys)):
            try:
                keys += [parse_key(text, operator=name == "operator-keys") for text in texts]
                check_together(keys)
            except BadKey as error:
                raise ConfigError(f"--{name}: {error}") from None
        return tuple(keys)

    def language(self) -> str | None:
        """The one language that the engine hears (ISO 639-1); None where it hears several, or nobody here knows."""
        if self.engine == "moshi":
            return "en" if self.model.rstrip("/").endswith("-en") else None
        return LANGUAGES.get(self.engine)

    def udp_port_range(self) -> tuple[int, int] | None:
        """The first and the last UDP port for media, or None for any."""
        if not self.udp_ports:
            return None
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", self.udp_ports)
        if not match or not 1_024 <= int(match[1]) <= int(match[2]) <= 65_535:
            raise ConfigError(f"--udp-ports {self.udp_ports!r} is no range: write it like 40000-40100")
        return int(match[1]), int(match[2])

    def ice(self) -> tuple[IceServer, ...]:
        """The STUN and TURN servers."""
        try:
            return tuple(parse_server(server) for server in self.ice_servers)
        except BadServer as error:
            raise ConfigError(f"--ice-servers: {error}") from None

    def engine_config(self) -> EngineConfig:
        """What the engine is told."""
        return EngineConfig(
            name=self.engine,
            capacity=self.capacity,
            workers=self.workers,
            remote_urls=self.remote_url,
            remote_key=self.remote_key,
            model=self.model,
            temperature=self.temperature,
            timestamps=cast(Timestamps, self.timestamps),
        )

    @classmethod
    def read(cls, overrides: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> "Config":
        """The settings of the environment (the process's own unless given), and over them `overrides`."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for item in fields(cls):
            for variable in item.metadata["environment"]:
                if environment.get(variable, "").strip():  # an empty one is none, as shells and containers have it
                    values[item.name] = parse(item, environment[variable], variable)
                    break
        return cls(**{**values, **(overrides or {})})


def misspelt(environment: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Each variable that is none of ours but nearly one, and the one that it looks like."""
    environment = os.environ if environment is None else environment
    ours = [name for item in fields(Config) for name in item.metadata["environment"] if name.startswith(PREFIX)]
    for name in sorted(set(environment).difference(ours)):
        if name.startswith(PREFIX):
            known = [mine.removeprefix(PREFIX) for mine in ours]
            for near in difflib.get_close_matches(name.removeprefix(PREFIX), known, 1, LIKE):
                yield name, PREFIX + near


def parse(item: "dataclasses.Field[Any]", text: str, name: str) -> Any:
    """One setting's value from its text. `name` is how the user wrote it. Raises ConfigError."""
    kind: Any = type(item.default)
    try:
        if kind is bool:
            return _BOOLEANS[text.strip().lower()]
        if kind is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return kind(text.strip())
    except (KeyError, ValueError):
        wanted = {bool: "yes or no", int: "a whole number", float: "a number of seconds"}[kind]
        raise ConfigError(f"{name}={text!r} is not {wanted}") from None


_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
