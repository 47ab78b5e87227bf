"""What OpenAI's Realtime doors have in common: the settings that a session begins with, and its language.

A session begins with what its client secret was made with, and over that what its own request says. Any model's name is
taken, and `intent` and `model` come in every combination, as clients send them.
"""

import json
from typing import Any

from aiohttp import web

from signaling import http
from signaling.auth import credential
from signaling.dialects.openai import Realtime
from signaling.dialects.openai_session import Settings, Transcription
from signaling.http import AUTH, CONFIG
from signaling.openai_errors import BadParameter

ENDPOINT = "/v1/realtime"
SUBPROTOCOL = "realtime"
IDLE = 600.0  # seconds without audio on a socket: who presses a button to speak may be silent for minutes


def opening(request: web.Request, session: object = None) -> Settings:
    """The settings of the session that a request begins; `session`: what it says of it. Raises BadParameter."""
    if "call_id" in request.query:
        raise BadParameter("A call's events come on its own data channel; they cannot be followed here.", "call_id")
    settings = _default(request)
    if secret := _secret(request):
        settings = settings.updated(secret)
    return settings if session is None else settings.updated(session)


def language(request: web.Request, settings: Settings, *, by_track: bool = False) -> Realtime:
    """The language of the session that a request begins."""
    config = request.app[CONFIG]
    lasts, decoder = config.max_session, config.opus_decoder
    return Realtime(settings, began=http.unix_time(), lasts=lasts, opus=decoder, by_track=by_track)


def _default(request: web.Request) -> Settings:
    model = request.query.get("model")
    if model is None or request.query.get("intent") == "transcription":
        return Settings(transcription=Transcription(model or request.app[CONFIG].engine))
    return Settings("realtime", model, transcription=Transcription(request.app[CONFIG].engine))


def _secret(request: web.Request) -> Any:
    """What the client secret that the request shows says of its sessions."""
    grant = request.app[AUTH].read(credential(request.headers, request.query))
    return json.loads(grant.settings) if grant and grant.settings else None
