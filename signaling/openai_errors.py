"""How what is refused is told on OpenAI's paths: the body that its clients read.

    {"error": {"message", "type", "param", "code"}}

openai-python makes its exceptions from the status, and tries 408, 409, 429 and everything from 500 twice again, after
the seconds in Retry-After.
"""

import json
from collections.abc import Mapping

from aiohttp import web

from signaling.errors import BadMessage

PATHS = ("/v1/realtime", "/v1/audio", "/v1/models")  # with what is under them
CODES = {  # OpenAI's words for ours; the others are told as they are
    "unauthorized": "invalid_api_key",
    "too_many_requests": "rate_limit_exceeded",
    "bad_message": "invalid_value",
}


class BadParameter(BadMessage):
    """A field of a request or event that is missing or cannot be used. `param`: its name, with dots, if it has one;
    `code`: OpenAI's, such as invalid_value, invalid_type or missing_required_parameter."""

    def __init__(self, message: str, param: str | None, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def is_openais(path: str) -> bool:
    """Whether this path is one of OpenAI's."""
    return any(path == known or path.startswith(f"{known}/") for known in PATHS)


def fields(status: int, code: str, message: str, param: str | None = None) -> dict[str, str | None]:
    """The error as OpenAI's clients read it, in a body and in an event. `status`: HTTP's."""
    if status >= 500:
        kind = "server_error"
    elif status == 429:
        kind = "requests"  # which of the limits is reached: that of requests, not of tokens
    else:
        kind = "invalid_request_error"
    return {"message": message, "type": kind, "param": param, "code": CODES.get(code, code)}


def answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, param: str | None = None
) -> web.Response:
    """The answer to a request that failed. `code` is ours or OpenAI's."""
    text = json.dumps({"error": fields(status, code, message, param)}, separators=(",", ":"))
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
