"""The one place where the parts are joined."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from aiohttp import web

from engine.base import Engine
from signaling import client_secrets, http, models, realtime, sessions, tokens
from signaling.auth import Auth, Names, Origins
from signaling.body import uninvited
from signaling.config import Config
from signaling.dialects.moshi import Moshi
from signaling.dialects.openai import MESSAGE_LIMIT as OPENAI_LIMIT
from signaling.dialects.root import Root
from signaling.dialects.token import Token
from signaling.http import AUTH, CONFIG, METRICS, NAMES, ORIGINS, SWITCHBOARD
from signaling.lag import LoopLag
from signaling.metrics import CONTENT_TYPE, Metrics
from signaling.modules import BuildInfo, modules_info
from signaling.page import PageFile, page_files
from signaling.switchboard import Switchboard
from signaling.transports.asr_file import AsrFileDoor
from signaling.transports.calls import CallsDoor
from signaling.transports.files import FileDoor
from signaling.transports.listener import ListenerDoor
from signaling.transports.peer import Peers
from signaling.transports.replay import Replay
from signaling.transports.transcriptions import PATH as TRANSCRIPTIONS
from signaling.transports.transcriptions import TranscriptionsDoor
from signaling.transports.upload import Uploads
from signaling.transports.webrtc import SignalDoor
from signaling.transports.websocket import Door, SocketDoor
from signaling.transports.whip import WhipDoor

log = logging.getLogger("offhook.app")

ENGINE = web.AppKey("engine", Engine)
FRONT = web.AppKey("front", PageFile)
ROOT = web.AppKey("root", SocketDoor)
BUILD = web.AppKey("build", BuildInfo)

MOSHI_IDLE = 120.0  # seconds without a message: moshi-server's
# Seconds of audio that may wait. Kyutai's example sends 35 s of silence behind its Marker, and leaves once that is back:
# had it some left to send then, more Steps would come than it takes, and it would not see our answer to its close.
MOSHI_BACKLOG = 40.0

LOAD = ("step_p50", "step_p99", "fill", "backlog")  # what health tells of it; the counts are for Prometheus


def create_app(config: Config, engine: Engine) -> web.Application:
    """The server, with an engine that has been started by whoever closes it. Must be called on the event loop."""
    app = web.Application(middlewares=[http.errors], client_max_size=http.BODY_LIMIT)
    app.on_response_prepare.append(http.add_headers)
    app[METRICS] = figures = Metrics()
    switchboard = Switchboard(engine, config, figures)
    figures.watch(engine, lambda: switchboard.live)
    figures.watch_tasks(lambda: len(asyncio.all_tasks()))
    figures.watch_doors(switchboard.counts, lambda: switchboard.waiting)
    peers = Peers(config, http.unix_time)
    app[CONFIG], app[ENGINE], app[SWITCHBOARD] = config, engine, switchboard
    keys = config.api_keys()
    app[AUTH], app[ORIGINS] = Auth(keys), Origins(config.origins)
    app[NAMES] = Names(("*",) if keys or config.no_auth else config.origins)
    files = page_files()
    app[FRONT] = files["index.html"]
    app[BUILD] = BuildInfo.read()
    app.router.add_get("/", home)
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/build_info", build_info)
    app.router.add_get("/api/modules_info", modules)
    app.router.add_post(tokens.PATH, tokens.post)
    app.router.add_get("/v1/sessions", sessions.get)
    app.router.add_get("/v1/signal", SignalDoor(switchboard, peers, config.connect_timeout).handle)
    app[ROOT] = SocketDoor(switchboard, root_door(config))
    for door in socket_doors(config):
        app.router.add_get(door.path, SocketDoor(switchboard, door).handle)
    uploads = Uploads(switchboard, config)
    app.router.add_post("/api/asr-streaming", AsrFileDoor(uploads).handle, expect_handler=uninvited)
    app.router.add_routes(TranscriptionsDoor(uploads, config.language()).routes())
    replay = Replay(config, app[AUTH])
    app.router.add_routes(FileDoor(uploads, replay, config.language()).routes())
    app.router.add_routes(replay.routes())
    app.on_cleanup.append(replay.close)
    app.router.add_routes(models.routes())
    listener = ListenerDoor(switchboard)
    app.router.add_get("/v1/sessions/{id}/events", listener.handle, allow_head=False)
    app.router.add_get("/v1/sessions/{id}/captions.vtt", listener.captions, allow_head=False)
    app.router.add_get("/whip/{id}/events", listener.handle, allow_head=False)
    app.router.add_routes(WhipDoor(switchboard, peers).routes())
    app.router.add_routes(CallsDoor(switchboard, peers).routes())
    app.router.add_post(client_secrets.PATH, client_secrets.post)
    for name, file in files.items():
        app.router.add_get(f"/{name}", file.handle)
    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(watch_lag)
    return app


def socket_doors(config: Config) -> tuple[Door, ...]:
    """The wire languages that have a socket of their own."""
    opus = config.opus_decoder
    streams = config.stream_idle_timeout
    return (
        Door("/api/asr-streaming", "moshi", lambda _: Moshi(opus), idle=MOSHI_IDLE, backlog=MOSHI_BACKLOG),
        Door("/v1/stream", "stream", lambda request: Token.asked(request.query, "f32", opus), idle=streams),
        Door("/v1/transcribe", "transcribe", lambda request: Token.asked(request.query, "s16", opus), idle=streams),
        Door(
            realtime.ENDPOINT,
            "realtime",
            lambda request: realtime.language(request, realtime.opening(request)),
            idle=realtime.IDLE,
            message_limit=OPENAI_LIMIT,
            subprotocols=(realtime.SUBPROTOCOL,),
        ),
    )


def root_door(config: Config) -> Door:
    """The socket at the path of the page."""
    return Door("/", "root", lambda _: Root(config.opus_decoder), idle=MOSHI_IDLE, backlog=MOSHI_BACKLOG)


async def drain(app: web.Application) -> None:
    """Live calls get their last words before the sockets close."""
    await app[SWITCHBOARD].drain()


async def watch_lag(app: web.Application) -> AsyncIterator[None]:
    """How late the event loop is, while the server runs."""
    lag = LoopLag(app[METRICS].lag)
    lag.start()
    yield
    lag.stop()


async def home(request: web.Request) -> web.StreamResponse:
    """The page for browsers, a description for programs, and a socket for those who ask for one."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await request.app[ROOT].handle(request)
    if "text/html" in request.headers.get("Accept", ""):
        return await request.app[FRONT].handle(request)
    return web.json_response(
        {
            "service": "Offhook",
            "engine": request.app[CONFIG].engine,
            "endpoints": {
                "signal": "/v1/signal",
                "whip": "/whip",
                "websocket": "/v1/stream",
                "moshi": "/api/asr-streaming",
                "realtime": "/v1/realtime",
                "transcriptions": TRANSCRIPTIONS,
                "tokens": "/v1/tokens",
                "health": "/health",
            },
        }
    )


async def health(request: web.Request) -> web.Response:
    """How the server is: 200 while it can take calls or is full, 503 while it cannot."""
    stats, switchboard = request.app[ENGINE].stats(), request.app[SWITCHBOARD]
    status = "draining" if switchboard.draining else "ok" if stats.state == "ready" else stats.state
    body: dict[str, Any] = {
        "status": status,
        "engine": {
            "name": request.app[CONFIG].engine,
            "state": stats.state,
            "restarts": stats.restarts,
            "admitting": stats.admitting,
            "load": {name: round(getattr(stats.load, name), 4) for name in LOAD},
            "upkeep": asdict(stats.upkeep),
        },
        "capacity": stats.capacity,
        "live": switchboard.live,
        "free": switchboard.free,
        "waiting": switchboard.waiting,
    }
    return web.json_response(body, status=200 if status == "ok" else 503)


async def ready(request: web.Request) -> web.Response:
    """For load balancers: 200 while a new call would be taken, else 503."""
    free = request.app[SWITCHBOARD].free
    return web.json_response({"ready": free > 0}, status=200 if free else 503)


async def metrics(request: web.Request) -> web.Response:
    """For Prometheus: figures without words, ids or addresses, and so for everyone, as `/health` is; with an operator's
    key also those of each key."""
    text = request.app[METRICS].text(by_key=http.is_operator(request))
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


async def build_info(request: web.Request) -> web.Response:
    """What runs, in moshi-server's fields. Its clients ask it whether the server is alive."""
    return web.json_response(request.app[BUILD].fields())


async def modules(request: web.Request) -> web.Response:
    """The places, as moshi-server tells of them; open to everyone, as `/health` is."""
    capacity, free = request.app[ENGINE].stats().capacity, request.app[SWITCHBOARD].free
    return web.json_response(modules_info(request.app[CONFIG], capacity, free))
