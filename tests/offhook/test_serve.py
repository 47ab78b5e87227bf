"""The server as a process: how it starts, refuses to start, survives its engine, and ends."""

import asyncio
import errno
import re
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import fields

import pytest

from offhook import cli, serve
from signaling.config import Config
from tests.offhook.server import Server, outcome

StartServer = Callable[..., Awaitable[Server]]

# How it ends


async def test_sigterm_gives_callers_their_last_words(start_server: StartServer) -> None:
    server = await start_server()
    engine = server.engine
    browser, voice = await server.call("alpha", "bravo", "charlie")
    await voice.told("partial", text="bravo")
    server.signal(signal.SIGTERM)
    assert (await browser.told("closing"))["in"] == 20.0
    assert (await voice.told("ended"))["reason"] == "drain"
    assert voice.words == ["alpha", "bravo"]
    assert await server.exit(within=5.0) == 0
    assert not engine.is_running()
    assert "Traceback" not in await server.complaints()


async def test_ctrl_c_reaches_the_engine_too_and_callers_still_get_their_last_words(start_server: StartServer) -> None:
    server = await start_server()
    _, voice = await server.call("alpha", "bravo", "charlie")
    await voice.told("partial", text="bravo")
    server.signal(signal.SIGINT, group=True)
    assert (await voice.told("ended"))["reason"] == "drain"
    assert voice.words == ["alpha", "bravo"]
    assert await server.exit(within=5.0) == 0
    assert "Traceback" not in await server.complaints()


async def test_the_end_is_the_same_when_nobody_reads_what_is_printed(start_server: StartServer) -> None:
    server = await start_server()
    _, voice = await server.call("alpha", "bravo", "charlie")
    await voice.told("partial", text="bravo")
    await server.stop_reading()
    server.signal(signal.SIGTERM)
    assert (await voice.told("ended"))["reason"] == "drain"
    assert voice.words == ["alpha", "bravo"]
    assert await server.exit(within=5.0) == 0
    assert "Traceback" not in await server.complaints()


async def test_the_end_waits_for_a_stuck_engine_only_so_long(start_server: StartServer) -> None:
    server = await start_server("--drain-timeout", "0.5")
    await server.call("alpha")
    server.engine.suspend()
    server.signal(signal.SIGTERM)
    assert await server.exit(within=0.5 + 5.5) == 0


async def test_a_second_signal_ends_at_once(start_server: StartServer) -> None:
    server = await start_server()
    browser, _ = await server.call("alpha")
    server.engine.suspend()  # so that the last words do not come
    server.signal(signal.SIGTERM)
    await browser.told("closing")
    server.signal(signal.SIGTERM)
    assert await server.exit(within=2.0) == 0


async def test_a_signal_ends_a_server_that_nobody_calls_at_once(start_server: StartServer) -> None:
    server = await start_server()
    server.signal(signal.SIGINT)
    assert await server.exit(within=2.0) == 0


# Its engine


async def test_an_engine_that_is_killed_is_told_at_once_and_is_back_soon(start_server: StartServer) -> None:
    server = await start_server()
    browser, voice = await server.call("alpha", "bravo")
    await voice.told("word", text="alpha")
    killed = server.engine
    killed.kill()
    assert (await voice.told("ended", within=1.0))["reason"] == "engine_down"
    assert (await browser.told("error", within=1.0))["code"] == "engine_down"
    assert await browser.closed(within=2.0) == 1013
    assert (await server.health())[0] == 503
    async with asyncio.timeout(10):
        while (await server.health())[0] != 200:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.05)
    status, health = await server.health()
    assert (status, health["engine"]["restarts"], health["live"]) == (200, 1, 0)
    _, voice = await server.call("charlie")
    await voice.told("word", text="charlie")


# How it does not start


async def test_a_port_in_use_is_a_sentence(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = await outcome("serve", "--engine", "scripted", "--port", str(port))
    assert (code, out) == (1, "")
    complaint = [line for line in err.splitlines() if line.startswith("offhook: ")]
    assert len(complaint) == 1
    assert "set --host or --port" in complaint[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--host", "0.0.0.0"], "--keys"),
        (["--host", "0.0.0.0", "--keys", "short"], "--keys"),
        (["--port", "70000"], "--port"),
        (["--port", "http"], "--port"),
        (["--engine", "parrot"], "--engine"),
        (["--engine", "remote"], "--remote-url"),
        (["--capacity", "-1"], "--capacity"),
        (["--idle-timeout", "soon"], "--idle-timeout"),
        (["--idle-timeout", "nan"], "--idle-timeout"),
        (["--max-session", "0"], "--max-session"),
        (["--udp-ports", "5"], "--udp-ports"),
        (["--ice-servers", "http://example.org"], "--ice-servers"),
        (["--origins", "example.org"], "--origins"),
        (["--trusted-proxies", "proxy"], "--trusted-proxies"),
        (["--public-address", "here"], "--public-address"),
        (["--log-level", "loud"], "--log-level"),
    ],
)
def test_a_setting_that_cannot_work_is_a_sentence_and_nothing_starts(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("offhook: ")
    assert err.count("\n") == 1
    assert named in err


def test_a_variable_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_SESSION_SECONDS", "an hour")
    assert cli.main(["serve"]) == 2
    assert "MAX_SESSION_SECONDS" in capsys.readouterr().err


def test_a_variable_that_is_nearly_a_setting_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(_: Config) -> int:
        return 0

    monkeypatch.setattr(serve, "serve", nothing)
    monkeypatch.setattr(serve, "configure_logs", lambda _: None)
    monkeypatch.setenv("OFFHOOK_PROT", "9000")
    assert cli.main(["serve"]) == 0
    assert "OFFHOOK_PROT is no setting and is not looked at: is OFFHOOK_PORT meant?" in caplog.messages


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        serve.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Its help


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in cli.COMMANDS)


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"]])
def test_help_names_every_setting_with_its_variables_and_default(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        cli.main(command)
    shown = " ".join(capsys.readouterr().out.split())
    for setting in fields(Config):
        assert all(variable in shown for variable in setting.metadata["environment"])
        assert setting.metadata["help"] in shown
        if isinstance(setting.default, (int, float)) and not isinstance(setting.default, bool):
            assert re.search(rf"default: {setting.default}[)\]]", shown)


def test_a_command_that_does_not_exist_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["dance"])
    assert ended.value.code == 2
    assert "dance" in capsys.readouterr().err


async def test_connections_that_wait_for_a_descriptor_are_a_line_in_the_log_and_not_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    serve.complain(loop, {"message": "no accept", "exception": OSError(errno.EMFILE, "Too many open files")})
    assert caplog.messages == ["connections wait: Too many open files"]
    serve.complain(loop, {"message": "what nobody has caught", "exception": OSError(errno.EPIPE, "Broken pipe")})
    assert caplog.messages[1:] == ["what nobody has caught"]
