import json

import pytest

from signaling import openai_errors
from tests.signaling.house import House


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/v1/realtime", True),
        ("/v1/realtime/calls", True),
        ("/v1/audio/transcriptions", True),
        ("/v1/realtimes", False),
        ("/v1/tokens", False),
    ],
)
def test_the_paths_are_openais(path: str, is_one: bool) -> None:
    assert openai_errors.is_openais(path) == is_one


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        (401, "unauthorized", "invalid_request_error", "invalid_api_key"),
        (429, "too_many_requests", "requests", "rate_limit_exceeded"),
        (503, "busy", "server_error", "busy"),
    ],
)
def test_codes_are_those_that_clients_know(status: int, code: str, kind: str, told: str) -> None:
    answer = openai_errors.answer(status, code, "Why.", {"Retry-After": "5"})
    assert answer.status == status
    assert answer.headers["Retry-After"] == "5"
    assert json.loads(answer.text or "") == {
        "error": {"message": "Why.", "type": kind, "param": None, "code": told},
    }


async def test_a_path_that_is_not_there_is_told_in_the_shape_of_its_neighbours(house: House) -> None:
    async with house.http.post(f"{house.url}/v1/realtime/nothing") as response:
        assert response.status == 404
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}
    async with house.http.post(f"{house.url}/v1/nothing") as response:
        assert response.content_type == "application/problem+json"
