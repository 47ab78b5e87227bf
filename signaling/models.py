"""`GET /v1/models`, which OpenAI's clients ask to see whether a server is there and has the model that they want.

Any model's name is taken here, so every one is found; the list has what the engine is."""

from typing import Any

from aiohttp import web

from signaling.errors import TooLarge
from signaling.http import CONFIG, caller
from signaling.modules import engine_name

PATH = "/v1/models"
LONGEST_NAME = 200  # characters


async def listing(request: web.Request) -> web.Response:
    """The models of this server."""
    caller(request)
    return web.json_response({"object": "list", "data": [_model(engine_name(request.app[CONFIG]))]})


async def one(request: web.Request) -> web.Response:
    """The model with the name in the path. Raises TooLarge."""
    caller(request)
    name = request.match_info["name"]
    if len(name) > LONGEST_NAME:
        raise TooLarge(f"The name of a model may have {LONGEST_NAME} characters.")
    return web.json_response(_model(name))


def routes() -> list[web.RouteDef]:
    """For the application's router. A name may hold slashes."""
    return [web.get(PATH, listing), web.get(PATH + "/{name:.+}", one)]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "offhook"}
