"""The one place where the parts are joined."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from engine.base import Engine
from signaling import client_secrets, http, models, realtime, sessions, status, tokens
from signaling.auth import Auth, Names, Origins
from signaling.body import uninvited
from signaling.config import Config
from signaling.dialects.moshi import Moshi
from signaling.dialects.openai import MESSAGE_LIMIT as OPENAI_LIMIT
from signaling.dialects.root import Root
from signaling.dialects.token import Token
from signaling.http import AUTH, CONFIG, METRICS, NAMES, ORIGINS, SWITCHBOARD
from signaling.lag import LoopLag
from signaling.metrics import Metrics
from signaling.modules import BuildInfo
from signaling.page import page_files
from signaling.status import BUILD, ENGINE, FRONT, ROOT
from signaling.switchboard import Switchboard
from signaling.transports.asr_file import AsrFileDoor
from signaling.transports.calls import CallsDoor
from signaling.transports.files import FileDoor
from signaling.transports.listener import ListenerDoor
from signaling.transports.peer import Peers
from signaling.transports.replay import Replay
from signaling.transports.transcriptions import TranscriptionsDoor
from signaling.transports.upload import Uploads
from signaling.transports.webrtc import SignalDoor
from signaling.transports.websocket import Door, SocketDoor
from signaling.transports.whip import WhipDoor

MOSHI_IDLE = 120.0  # seconds without a message: moshi-server's
# Seconds of audio that may wait. Kyutai's example sends 35 s of silence behind its Marker, and leaves once that is
# back: had it some left to send then, more Steps would come than it takes, and our answer to its close be missed.
MOSHI_BACKLOG = 40.0


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
    app.router.add_routes(status.routes())
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
