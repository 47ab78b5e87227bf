"""`GET /v1/sessions`: the sessions that live, for an operator's key all, for another key those begun with it."""

from typing import Any

from aiohttp import web

from signaling import http
from signaling.auth import Caller, is_own
from signaling.config import is_loopback
from signaling.errors import Unauthorized
from signaling.http import SWITCHBOARD
from signaling.switchboard import Call

PROXIES = ("forwarded", "via", "x-forwarded-", "x-real-ip")  # how the headers begin that proxies add


async def get(request: web.Request) -> web.Response:
    """The list, oldest first. Raises Unauthorized."""
    who = http.caller(request)
    if who.grant:
        raise Unauthorized("A token lists no sessions; send a key.")
    if not who.key and not _at_home(request):
        raise Unauthorized("Without keys, the sessions are listed for the server's own machine only.")
    switchboard = request.app[SWITCHBOARD]
    listed = [shown(call, switchboard.age(call)) for call in switchboard.calls() if _may_see(who, call)]
    return web.json_response({"sessions": listed}, headers={"Cache-Control": "no-store"})


def shown(call: Call, age: float) -> dict[str, Any]:
    """A session as the list has it; `age`: seconds since it began."""
    session = call.session
    return {
        "id": session.id,
        "door": call.door,
        "key": call.caller.key,
        "state": session.state,
        "seconds": round(age, 1),
        "words": session.words,
        "events": session.log.seq,
    }


def _may_see(who: Caller, call: Call) -> bool:
    return not who.key or who.operator or who.key == call.caller.key


def _at_home(request: web.Request) -> bool:
    """Whether a request without a key comes from this machine, and neither through a proxy on it, as far as proxies say
    that they are one, nor from a page that has its name lead here."""
    through = any(name.lower().startswith(PROXIES) for name in request.headers)
    return is_loopback(request.remote or "") and not through and is_own(request.headers.get("Host", ""))
