"""Who may import whom, and where guests, settings and clocks may be: the architecture, read from the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent

# Imports point one way: a package may import itself and these.
MAY_IMPORT = {
    "engine": set(),
    "media": set(),
    "web": set(),
    "signaling": {"engine", "media", "web"},
    "offhook": {"engine", "media", "signaling"},
}
# A guest stays in its rooms: files, or whole packages.
GUESTS = {
    "aiohttp.web": {"signaling"},
    "aiohttp.web_protocol": {"signaling"},
    "aiohttp": {"signaling", "engine/remote.py", "engine/backends.py", "engine/sockets.py", "offhook/call.py"},
    "aiortc": {"media/peer.py", "media/compat", "media/caller.py"},
    "aioice": {"media/compat"},
    "pylibsrtp": {"media/compat"},
    "av": {"media"},
    "moonshine_voice": {"engine/moonshine.py"},
    "torch": {"engine/moshi.py", "engine/net.py", "engine/states.py"},
    "moshi": {"engine/moshi.py", "engine/net.py", "engine/states.py"},
    "huggingface_hub": {"engine/checkpoint.py"},
    "msgpack": {"engine/wire.py"},
    "prometheus_client": {"signaling/metrics.py"},
    "tqdm": {"offhook/progress.py"},
    "watchfiles": {"offhook/reload.py"},
}
ENVIRONMENT = {"signaling/config.py"}
# The shells read the clock; everything else is told the time.
SHELLS = {
    "engine/loop.py",
    "engine/moonshine.py",
    "engine/process.py",
    "engine/remote.py",
    "engine/worker.py",
    "media/caller.py",
    "media/compat/guard.py",
    "media/compat/packets.py",
    "media/container.py",
    "media/peer.py",
    "media/relay.py",
    "media/track.py",
    "signaling/body.py",
    "signaling/http.py",
    "signaling/lag.py",
    "signaling/session.py",
    "signaling/switchboard.py",
    "signaling/transports/files.py",
    "signaling/transports/replay.py",
    "signaling/transports/telling.py",
    "signaling/transports/upload.py",
    "signaling/transports/websocket.py",
}
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "now", "utcnow", "today"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every source file of the packages, by its path from the root."""
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(), str(path))


SOURCES = dict(sources())


def imported(tree: ast.Module) -> set[str]:
    """The dotted names that a file imports, each as deep as it is written."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            assert node.module is not None
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def attributes(tree: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def inside(path: str, rooms: set[str]) -> bool:
    return path in rooms or any(folder.as_posix() in rooms for folder in PurePosixPath(path).parents)


def is_within(name: str, guest: str) -> bool:
    return name == guest or name.startswith(f"{guest}.")


@pytest.mark.parametrize("path", SOURCES)
def test_imports_point_one_way(path: str) -> None:
    package = path.partition("/")[0]
    others = {name.partition(".")[0] for name in imported(SOURCES[path])} & set(MAY_IMPORT)
    assert others <= MAY_IMPORT[package] | {package}


@pytest.mark.parametrize("guest", GUESTS)
def test_guests_stay_in_their_rooms(guest: str) -> None:
    hosts = {path for path, tree in SOURCES.items() if any(is_within(name, guest) for name in imported(tree))}
    assert hosts, "nobody imports it: its row can go"
    assert {path for path in hosts if not inside(path, GUESTS[guest])} == set()


def test_every_room_has_its_guest() -> None:
    """A file is named in the table only as long as it needs to be."""
    for guest, rooms in GUESTS.items():
        for room in rooms:
            users = [path for path in SOURCES if inside(path, {room})]
            assert any(is_within(name, guest) for path in users for name in imported(SOURCES[path])), (guest, room)


def test_one_file_reads_the_environment() -> None:
    readers = {
        path
        for path, tree in SOURCES.items()
        if {"environ", "getenv", "environb"} & attributes(tree)
        or any(name in ("os.environ", "os.getenv") for name in imported(tree))
    }
    assert readers == ENVIRONMENT


def test_clocks_are_read_in_the_shells_only() -> None:
    readers = {
        path
        for path, tree in SOURCES.items()
        if CLOCKS & attributes(tree) or {"time", "datetime"} & {name.partition(".")[0] for name in imported(tree)}
    }
    assert readers == SHELLS


def test_nothing_of_the_source_imports_the_tests() -> None:
    for path, tree in SOURCES.items():
        assert not {name.partition(".")[0] for name in imported(tree)} & {"tests", "e2e", "bench", "pytest"}, path


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import aiohttp.web", {"aiohttp.web"}),
        ("from aiohttp import web", {"aiohttp", "aiohttp.web"}),
        ("def f():\n    from aiohttp.web import Response", {"aiohttp.web", "aiohttp.web.Response"}),
    ],
)
def test_an_import_is_seen_however_it_is_written(source: str, names: set[str]) -> None:
    assert imported(ast.parse(source)) == names
