"""`POST /v1/realtime/client_secrets`: OpenAI's short-lived keys, in exchange for a key, so that none reaches a browser.

One is a token (signaling/tokens.py) that is good at the Realtime endpoints only, and holds the settings of the sessions
that begin with it; so nothing is kept here, and it is good at every server with the same keys.
"""

import json
import secrets

from aiohttp import web

from signaling import http, realtime
from signaling.auth import SECRET_PREFIX, Grant
from signaling.dialects.native import loads
from signaling.dialects.openai_session import Fields
from signaling.errors import Unauthorized
from signaling.http import AUTH
from signaling.openai_errors import BadParameter

PATH = f"{realtime.ENDPOINT}/client_secrets"
LIFETIME = 600  # seconds, where nothing is said
SHORTEST, LONGEST = 10, 7_200
LONGEST_SECRET = 7_000  # characters: it must fit into a header, which may have 8,190 bytes, beside other words


async def post(request: web.Request) -> web.Response:
    """A client secret. Raises Unauthorized, TooLarge or BadMessage."""
    who = http.caller(request)
    if who.grant:
        raise Unauthorized("A client secret makes no further ones; send a key.")
    body = await http.read_text(request, "application/json") if request.can_read_body else "{}"
    asked = loads(body, http.BODY_LIMIT)
    settings = realtime.opening(request, asked.get("session"))
    grant = Grant(
        id=secrets.token_urlsafe(9),
        key=who.key,
        endpoint=realtime.ENDPOINT,
        expires=int(http.unix_time()) + _lifetime(asked.get("expires_after")),
        settings=json.dumps(settings.fields(), separators=(",", ":")),
    )
    session = {"id": f"sess_{secrets.token_urlsafe(16)}", **settings.fields()}
    value = _checked(request.app[AUTH].issue(grant, SECRET_PREFIX))
    told = {"value": value, "expires_at": grant.expires, "session": session}
    return web.json_response(told, headers={"Cache-Control": "no-store"})


def _lifetime(asked: object) -> int:
    fields = Fields(asked, "expires_after")
    fields.choice("anchor", ("created_at",), "created_at")
    return fields.whole("seconds", LIFETIME, SHORTEST, LONGEST)


def _checked(secret: str) -> str:
    if len(secret) > LONGEST_SECRET:
        raise BadParameter(
            "Invalid 'session': too long. A client secret holds its settings, and would have more than "
            f"{LONGEST_SECRET} characters with these; send them with session.update instead.",
            "session",
            "string_above_max_length",
        )
    return secret
