from dataclasses import fields

import pytest

from media import libopus
from media.errors import NoDecoder
from signaling.config import Config, ConfigError, misspelt


def read(**environment: str) -> Config:
    return Config.read(environment=environment)


def test_the_defaults_are_those_of_one_person_on_a_laptop() -> None:
    config = read()
    assert (config.host, config.port, config.engine, config.keys) == ("127.0.0.1", 8080, "moonshine", ())
    assert (config.idle_timeout, config.max_session, config.resume_grace) == (30.0, 3600.0, 15.0)
    assert config.speech_timeout == 0.0


def test_libopus_is_looked_for_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(OFFHOOK_OPUS_DECODER="libopus").opus_decoder == "libopus"

    def none_here() -> None:
        raise NoDecoder("there is no libopus on this machine")

    monkeypatch.setattr(libopus, "load", none_here)
    assert read().opus_decoder == "auto"
    with pytest.raises(ConfigError, match="--opus-decoder libopus: there is no libopus"):
        read(OFFHOOK_OPUS_DECODER="libopus")


def test_our_own_variable_wins_over_the_fields() -> None:
    assert read(IDLE_AUDIO_TIMEOUT_SECONDS="12").idle_timeout == 12.0
    assert read(IDLE_AUDIO_TIMEOUT_SECONDS="12", OFFHOOK_IDLE_TIMEOUT="7").idle_timeout == 7.0
    assert read(MAX_SESSION_SECONDS="60").max_session == 60.0
    assert read(MODEL_NAME="kyutai/stt-2.6b-en").engine_config().model == "kyutai/stt-2.6b-en"


def test_the_fields_variables_mean_here_what_they_mean_there() -> None:
    config = read(YAP_ADDR="0.0.0.0", YAP_PORT="8000", KYUTAI_API_KEY="public_token")
    assert (config.host, config.port, config.keys) == ("0.0.0.0", 8000, ("public_token",))
    assert read(TRANSCODIO_API_KEY="a-good-key").keys == ("a-good-key",)
    ours = read(YAP_PORT="8000", OFFHOOK_PORT="9000", KYUTAI_API_KEY="public_token", OFFHOOK_KEYS="a-good-key")
    assert (ours.port, ours.keys) == (9000, ("a-good-key",))


def test_the_bounds_on_files_are_transcodios() -> None:
    config = read()
    assert (config.max_file_size, config.max_duration, config.files, config.files_per_minute) == (100, 3600.0, 4, 0)
    config = read(MAX_FILE_SIZE_MB="5", MAX_DURATION_SECONDS="60", OFFHOOK_FILES="2", OFFHOOK_FILES_PER_MINUTE="9")
    assert (config.max_file_size, config.max_duration, config.files, config.files_per_minute) == (5, 60.0, 2, 9)
    for name in ("OFFHOOK_MAX_FILE_SIZE", "OFFHOOK_MAX_DURATION", "OFFHOOK_FILES"):
        with pytest.raises(ConfigError, match=r"must be (1 or )?more"):
            read(**{name: "0"})


def test_recordings_are_kept_for_an_hour() -> None:
    config = read()
    assert (config.kept_files, config.kept_size, config.kept_time) == (100, 1_024, 3_600.0)
    config = read(OFFHOOK_KEPT_FILES="0", OFFHOOK_KEPT_SIZE="5", OFFHOOK_KEPT_TIME="60")
    assert (config.kept_files, config.kept_size, config.kept_time) == (0, 5, 60.0)
    for name in ("OFFHOOK_KEPT_FILES", "OFFHOOK_KEPT_SIZE", "OFFHOOK_KEPT_TIME"):
        with pytest.raises(ConfigError, match=r"must be 0 "):
            read(**{name: "-1"})


def test_the_language_is_known_where_the_engine_hears_but_one() -> None:
    assert Config().language() == Config(engine="scripted").language() == "en"
    assert Config(engine="moshi").language() is None
    assert Config(engine="moshi", model="kyutai/stt-2.6b-en").language() == "en"
    assert Config(engine="remote", remote_url=("ws://127.0.0.1",)).language() is None


def test_an_empty_variable_is_none() -> None:
    config = read(YAP_ADDR="", YAP_PORT=" ", KYUTAI_API_KEY="", OFFHOOK_ENGINE_PROCESS="")
    assert (config.host, config.port, config.keys, config.engine_process) == ("127.0.0.1", 8080, (), True)
    assert read(OFFHOOK_KEYS="", KYUTAI_API_KEY="public_token").keys == ("public_token",)
    with pytest.raises(ConfigError, match="--keys"):
        read(YAP_ADDR="0.0.0.0", KYUTAI_API_KEY="")


def test_keys_have_names_and_limits_and_an_operators_are_told_apart() -> None:
    config = read(OFFHOOK_KEYS="a-good-key, shop:another-key:5", OFFHOOK_OPERATOR_KEYS="staff:the-staff-key")
    shown = [(key.secret, key.name, key.limit, key.operator) for key in config.api_keys()]
    assert shown == [
        ("a-good-key", "", 0, False),
        ("another-key", "shop", 5, False),
        ("the-staff-key", "staff", 0, True),
    ]
    assert read(OFFHOOK_HOST="0.0.0.0", OFFHOOK_OPERATOR_KEYS="the-staff-key").api_keys()


def test_the_command_line_wins_over_the_environment() -> None:
    assert Config.read({"port": 9000}, {"OFFHOOK_PORT": "7000"}).port == 9000


def test_every_setting_has_a_variable_of_ours_and_a_help() -> None:
    for item in fields(Config):
        assert item.metadata["environment"][0].startswith("OFFHOOK_")
        assert item.metadata["help"]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OFFHOOK_PORT": "http"}, "OFFHOOK_PORT"),
        ({"OFFHOOK_PORT": "70000"}, "--port"),
        ({"OFFHOOK_ENGINE": "whisper"}, "moonshine"),
        ({"OFFHOOK_ENGINE": "remote"}, "--remote-url"),
        ({"OFFHOOK_ENGINE": "remote", "OFFHOOK_REMOTE_URL": "ws://gpu,localhost:8080"}, "--remote-url: .* like ws://"),
        ({"OFFHOOK_ENGINE": "remote", "OFFHOOK_REMOTE_URL": "ws://gpu", "OFFHOOK_REMOTE_KEY": "kéy"}, "--remote-key"),
        ({"OFFHOOK_CAPACITY": "-1"}, "--capacity"),
        ({"OFFHOOK_OPUS_DECODER": "speex"}, "auto or libopus or pyav"),
        ({"OFFHOOK_TEMPERATURE": "-1"}, "--temperature"),
        ({"OFFHOOK_TEMPERATURE": "nan"}, "--temperature must be a number"),
        ({"OFFHOOK_TEMPERATURE": "inf"}, "--temperature must be a number"),
        ({"OFFHOOK_TIMESTAMPS": "late"}, "accurate or compatible"),
        ({"OFFHOOK_IDLE_TIMEOUT": "0"}, "--idle-timeout"),
        ({"OFFHOOK_IDLE_TIMEOUT": "nan"}, "--idle-timeout"),
        ({"OFFHOOK_RESUME_GRACE": "-1"}, "--resume-grace"),
        ({"OFFHOOK_KEYS": "short"}, "--keys"),
        ({"OFFHOOK_KEYS": "has a space in it"}, "--keys"),
        ({"KYUTAI_API_KEY": "short"}, "--keys"),
        ({"OFFHOOK_KEYS": "shop:a-good-key:none"}, "--keys: a key's limit"),
        ({"OFFHOOK_OPERATOR_KEYS": "short"}, "--operator-keys"),
        ({"OFFHOOK_KEYS": "a-good-key", "OFFHOOK_OPERATOR_KEYS": "a-good-key"}, "twice"),
        ({"OFFHOOK_HOST": "0.0.0.0"}, "--keys"),
        ({"OFFHOOK_HOST": "example.org"}, "--keys"),
        ({"OFFHOOK_NO_AUTH": "maybe"}, "OFFHOOK_NO_AUTH"),
        ({"OFFHOOK_UDP_PORTS": "40100-40000"}, "--udp-ports"),
        ({"OFFHOOK_UDP_PORTS": "80"}, "--udp-ports"),
        ({"OFFHOOK_IMPAIR": "loss-99"}, "--impair to clean, wifi"),
        ({"OFFHOOK_PUBLIC_ADDRESS": "example.org"}, "--public-address"),
        ({"OFFHOOK_TRUSTED_PROXIES": "10.0.0.1,proxy"}, "--trusted-proxies"),
        ({"OFFHOOK_ICE_SERVERS": "http://example.org"}, "--ice-servers"),
        ({"OFFHOOK_ORIGINS": "example.org"}, "--origins"),
        ({"OFFHOOK_LOG_LEVEL": "loud"}, "--log-level"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Config.read(environment=environment)


def test_the_world_is_served_only_with_keys_or_on_request() -> None:
    assert read(OFFHOOK_HOST="0.0.0.0", OFFHOOK_KEYS="a-good-key,another-key").keys == ("a-good-key", "another-key")
    assert read(OFFHOOK_HOST="0.0.0.0", OFFHOOK_NO_AUTH="yes").no_auth
    for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost"):
        assert read(OFFHOOK_HOST=host).host == host


def test_the_servers_of_the_remote_engine_are_a_list() -> None:
    config = read(OFFHOOK_ENGINE="remote", OFFHOOK_REMOTE_URL="ws://gpu-1:8080, wss://gpu-2", OFFHOOK_REMOTE_KEY="key")
    assert config.engine_config().remote_urls == ("ws://gpu-1:8080", "wss://gpu-2")
    assert config.engine_config().remote_key == "key"


def test_a_port_range_is_read() -> None:
    assert read(OFFHOOK_UDP_PORTS="40000-40100").udp_port_range() == (40_000, 40_100)
    assert read().udp_port_range() is None


@pytest.mark.parametrize(
    ("name", "meant"), [("OFFHOOK_PROT", "OFFHOOK_PORT"), ("OFFHOOK_KEY", "OFFHOOK_KEYS"), ("OFFHOOK_orign", None)]
)
def test_a_variable_that_is_nearly_one_of_ours_is_told_with_the_one_it_looks_like(name: str, meant: str | None) -> None:
    assert list(misspelt({name: "1", "OFFHOOK_HOST": "::1"})) == ([(name, meant)] if meant else [])


def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_slip() -> None:
    names = ("SERVICE_HOST", "SERVICE_PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT")
    assert list(misspelt({f"OFFHOOK_{name}": "10.0.0.1" for name in names})) == []
