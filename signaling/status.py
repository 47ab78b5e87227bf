"""What a server says of itself, beside its calls: what it is, how it is, and what it has counted."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from engine.base import Engine
from signaling import http
from signaling.http import CONFIG, METRICS, SWITCHBOARD
from signaling.metrics import CONTENT_TYPE
from signaling.modules import BuildInfo, modules_info
from signaling.page import PageFile
from signaling.transports.transcriptions import PATH as TRANSCRIPTIONS
from signaling.transports.websocket import SocketDoor

ENGINE = web.AppKey("engine", Engine)
FRONT = web.AppKey("front", PageFile)
ROOT = web.AppKey("root", SocketDoor)
BUILD = web.AppKey("build", BuildInfo)
LOAD = ("step_p50", "step_p99", "fill", "backlog")  # what health tells of it; the counts are for Prometheus


def routes() -> list[web.RouteDef]:
    """For the application's router."""
    return [
        web.get("/", home),
        web.get("/health", health),
        web.get("/ready", ready),
        web.get("/metrics", metrics),
        web.get("/api/build_info", build_info),
        web.get("/api/modules_info", modules),
    ]


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
