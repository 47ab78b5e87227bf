from typing import Any

import aiohttp
import pytest

from tests.signaling.house import House, OpenHouse
from tests.signaling.openai_clients import KEY, MANUAL, Talk

BEARER = {"Authorization": f"Bearer {KEY}"}


async def made(house: House, headers: dict[str, str] = BEARER, **asked: Any) -> tuple[int, dict[str, Any]]:
    """What a request for a secret is answered."""
    async with house.http.post(f"{house.url}/v1/realtime/client_secrets", json=asked, headers=headers) as response:
        return response.status, await response.json()


@pytest.fixture
async def locked(open_house: OpenHouse) -> House:
    return await open_house(keys=(KEY,))


async def test_a_secret_brings_the_settings_that_it_was_made_with(locked: House) -> None:
    status, secret = await made(locked, session=MANUAL)
    assert status == 200
    assert secret["value"].startswith("ek_")
    assert secret["session"]["object"] == "realtime.transcription_session"
    talk = await Talk.at(locked, "", headers={"Authorization": f"Bearer {secret['value']}"})
    created = await talk.until("session.created")
    assert created["session"]["audio"]["input"]["turn_detection"] is None
    assert created["session"]["id"] != secret["session"]["id"]


async def test_a_secret_travels_as_a_subprotocol_too(locked: House) -> None:
    _, secret = await made(locked, session=MANUAL)
    talk = await Talk.at(locked, protocols=("realtime", f"openai-insecure-api-key.{secret['value']}"))
    created = await talk.until("session.created")
    assert created["session"]["audio"]["input"]["turn_detection"] is None


async def test_a_server_without_keys_makes_them_and_knows_their_settings(house: House) -> None:
    _, secret = await made(house, {}, session=MANUAL)
    talk = await Talk.at(house, headers={"Authorization": f"Bearer {secret['value']}"})
    created = await talk.until("session.created")
    assert created["session"]["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [({}, 600), ({"expires_after": {"anchor": "created_at", "seconds": 10}}, 10), ({"expires_after": {}}, 600)],
)
async def test_a_secret_lasts_as_long_as_was_asked(locked: House, asked: dict[str, Any], seconds: int) -> None:
    _, long = await made(locked, expires_after={"seconds": 7_200})
    _, secret = await made(locked, **asked)
    assert long["expires_at"] - secret["expires_at"] == pytest.approx(7_200 - seconds, abs=2)


async def test_a_secret_is_good_at_the_realtime_endpoints_only_and_makes_no_others(locked: House) -> None:
    _, secret = await made(locked)
    headers = {"Authorization": f"Bearer {secret['value']}"}
    status, body = await made(locked, headers)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await locked.http.ws_connect(f"{locked.url}/v1/stream", headers=headers)
    assert refused.value.status == 401


async def test_an_expired_secret_begins_nothing(locked: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await made(locked, expires_after={"seconds": 10})
    monkeypatch.setattr("signaling.http.unix_time", lambda: float(secret["expires_at"]))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Talk.at(locked, headers={"Authorization": f"Bearer {secret['value']}"})
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("asked", "param", "code"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds", "integer_below_min_value"),
        ({"expires_after": {"seconds": 7_201}}, "expires_after.seconds", "integer_above_max_value"),
        ({"expires_after": {"seconds": "600"}}, "expires_after.seconds", "invalid_type"),
        ({"expires_after": {"anchor": "never"}}, "expires_after.anchor", "invalid_value"),
        ({"expires_after": 600}, "expires_after", "invalid_type"),
        ({"session": {"type": "translation"}}, "session.type", "invalid_value"),
        (
            {"session": {"audio": {"input": {"transcription": {"prompt": "é" * 2_000}}}}},
            "session",
            "string_above_max_length",
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_its_name(
    locked: House, asked: dict[str, Any], param: str, code: str
) -> None:
    status, body = await made(locked, **asked)
    assert status == 400
    assert (body["error"]["param"], body["error"]["code"]) == (param, code)


@pytest.mark.parametrize("letter", ["a", '"', "é", "\\"])
async def test_a_secret_that_is_made_can_be_shown(locked: House, letter: str) -> None:
    """Settings are written twice as JSON in it, and a header has an end."""
    made_of = 0
    for letters in (400, 800, 1_200, 1_600, 2_000):
        prompt = {"audio": {"input": {"transcription": {"prompt": letter * letters}}}}
        status, body = await made(locked, session=prompt)
        if status == 200:
            made_of = letters
            headers = {"Authorization": f"Bearer {body['value']}"}
            async with locked.http.get(f"{locked.url}/v1/realtime", headers=headers) as response:
                assert response.status == 426  # a WebSocket is needed: the secret was read
    assert made_of >= 400


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another-key"}])
async def test_a_key_is_needed(locked: House, headers: dict[str, str]) -> None:
    status, body = await made(locked, headers)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
