"""Keys and the tokens made from them, at a real server."""

import asyncio
import json
import logging
from typing import Any

import aiohttp
import msgpack
import pytest

from signaling.auth import TOKEN_LIFETIME
from signaling.tokens import VIEW_LIFETIME
from tests.media.offers import CHROME
from tests.signaling.house import Footprint, House, OpenHouse, until

SHOP, BANK, STAFF = "the-key-of-a-shop", "the-key-of-a-bank", "the-key-of-the-staff"
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    return await open_house(keys=(f"shop:{SHOP}:2", f"bank:{BANK}"), operator_keys=(f"staff:{STAFF}",))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def ask(house: House, key: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """What `POST /v1/tokens` answers."""
    async with house.http.post(f"{house.url}/v1/tokens", headers=bearer(key), json=body) as response:
        return response.status, await response.json()


async def token(house: House, key: str = SHOP, **body: Any) -> str:
    status, answer = await ask(house, key, body)
    assert status == 200, answer
    return str(answer["token"])


async def begin(house: House, key: str, **headers: str) -> tuple[int, str, Any]:
    """Begin a session by WHIP that never connects: the status, its id or the code of the refusal, and the headers."""
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers={**SDP, **bearer(key), **headers}) as response:
        if response.status == 201:
            return 201, response.headers["Location"].rpartition("/")[2], response.headers
        return response.status, (await response.json())["code"], response.headers


async def follow(house: House, session: str, key: str, door: str = "/v1/sessions") -> int:
    async with house.http.get(f"{house.url}{door}/{session}/events", headers=bearer(key)) as response:
        return response.status


# Every way to show a key


@pytest.mark.parametrize(
    "way",
    [
        {"headers": bearer(SHOP)},
        {"headers": {"kyutai-api-key": SHOP}},
        {"headers": {"kyutai-api-key": SHOP, "Authorization": "Bearer of-some-proxy"}},
        {"params": {"auth_id": SHOP}},
        {"params": {"token": SHOP}},
        {"protocols": ("offhook", f"bearer.{SHOP}")},
    ],
)
async def test_a_key_is_taken_wherever_the_fields_clients_put_it(house: House, way: dict[str, Any]) -> None:
    browser = await house.dial(**way)
    assert browser.socket.protocol == "offhook"
    await browser.told("ready")


async def test_a_client_that_offers_nothing_but_its_key_is_answered_with_that(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await house.dial(protocols=(f"bearer.{SHOP}",))
    await browser.told("ready")
    assert browser.socket.protocol == f"bearer.{SHOP}"
    assert SHOP not in caplog.text


@pytest.mark.parametrize(
    "way",
    [
        {"headers": {"kyutai-api-key": "wrong-key"}, "params": {"auth_id": SHOP}},
        {"headers": {"kyutai-api-key": ""}, "params": {"auth_id": SHOP}},
        {"headers": {"Authorization": "Bearer wrong-key"}, "params": {"token": SHOP}},
        {"params": {"auth_id": "wrong-key", "token": SHOP}},
        {"protocols": ("offhook", "bearer.wrong-key")},
        {},
    ],
)
async def test_a_wrong_key_is_refused_before_the_upgrade_and_no_second_place_is_looked_at(
    house: House, way: dict[str, Any]
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await house.dial(**way)
    assert refusal.value.status == 401


async def test_bad_credentials_by_the_thousand_leave_nothing_behind(house: House) -> None:
    await ask(house, SHOP)
    before = Footprint()

    async def knock(number: int) -> int:
        async with house.http.get(f"{house.url}/v1/signal", params={"token": f"ot_{number}.x"}) as response:
            return response.status

    for _ in range(20):
        assert set(await asyncio.gather(*(knock(number) for number in range(100)))) == {401}
    assert house.switchboard.live == 0
    await until(lambda: Footprint().within(before, more=house.connections * 2))
    assert (await begin(house, SHOP))[0] == 201


# What a token is good for


async def test_a_token_is_for_the_page_when_nothing_is_said(house: House) -> None:
    async with house.http.post(f"{house.url}/v1/tokens", headers=bearer(SHOP)) as response:
        body = await response.json()
        assert response.headers["Cache-Control"] == "no-store"
    assert body["endpoint"] == "/v1/signal"
    browser = await house.dial(protocols=("offhook", f"bearer.{body['token']}"))
    await browser.told("ready")


async def test_a_token_is_good_at_its_endpoint_only(house: House) -> None:
    page, whip = await token(house), await token(house, endpoint="/whip")
    assert (await begin(house, page))[:2] == (401, "unauthorized")
    assert (await ask(house, whip))[0] == 401
    for path in ("/v1/sessions", "/v1/signal", "/v1/tokens"):
        method = "POST" if path == "/v1/tokens" else "GET"
        async with house.http.request(method, f"{house.url}{path}", headers=bearer(whip)) as response:
            assert response.status == 401
    status, session, headers = await begin(house, whip)
    assert status == 201
    async with house.http.delete(f"{house.url}{headers['Location']}", headers=bearer(page)) as response:
        assert response.status == 401
    async with house.http.delete(f"{house.url}{headers['Location']}", headers=bearer(whip)) as response:
        assert response.status == 200
    await until(lambda: house.switchboard.live == 0)
    assert await follow(house, session, whip, door="/whip") == 200
    assert await follow(house, session, whip) == 401


async def test_a_token_expires(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("signaling.http.unix_time", lambda: now)
    shown = await token(house, endpoint="/whip", expires_in=30)
    assert (await begin(house, shown))[0] == 201
    now += 30
    # It lives on for the session that was begun with it, and for nothing else.
    assert (await begin(house, shown))[:2] == (401, "unauthorized")
    session = house.switchboard.calls()[0].session
    async with house.http.get(f"{house.url}/whip/{session.id}", headers=bearer(shown)) as response:
        assert response.status == 204
    session.end("bye")
    await until(lambda: house.switchboard.live == 0)
    async with house.http.get(f"{house.url}/whip/{session.id}", headers=bearer(shown)) as response:
        assert response.status == 401


async def test_a_browser_comes_back_to_its_call_with_a_token_that_has_expired(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("signaling.http.unix_time", lambda: now)
    shown = await token(house, expires_in=30)
    browser = await house.dial(headers=bearer(shown))
    voice = await browser.speak(("alpha",))
    ready = await voice.told("ready")
    browser.lose()
    await until(lambda: [call.session.state for call in house.switchboard.calls()] == ["held"])
    now += 60
    back = await house.dial(headers=bearer(shown))
    await back.send(type="resume", session=ready["session"], token=browser.all[0]["resume_token"], seq=0)
    await until(lambda: len(back.of("ready")) == 2)
    another = await house.dial(headers=bearer(shown))
    await another.told("ready")
    await another.send(type="offer", sdp=CHROME)
    await another.told("error", code="unauthorized")


async def test_a_token_has_a_longest_session(house: House) -> None:
    shown = await token(house, max_session=1)
    browser = await house.dial(headers=bearer(shown))
    voice = await browser.speak(("alpha",) * 8)
    assert (await voice.told("ended"))["reason"] == "max_session"


async def test_a_token_has_so_many_sessions_at_once(house: House) -> None:
    shown = await token(house, BANK, endpoint="/whip", sessions=1)
    assert (await begin(house, shown))[0] == 201
    status, code, headers = await begin(house, shown)
    assert (status, code) == (429, "too_many_requests")
    assert int(headers["Retry-After"]) > 0
    assert (await begin(house, await token(house, BANK, endpoint="/whip", sessions=1)))[0] == 201
    house.switchboard.calls()[0].session.end("bye")
    await until(lambda: house.switchboard.live == 1)
    assert (await begin(house, shown))[0] == 201


async def test_a_key_has_so_many_sessions_at_once_with_those_of_its_tokens(house: House) -> None:
    assert (await begin(house, SHOP))[0] == 201
    assert (await begin(house, await token(house, endpoint="/whip")))[0] == 201
    for shown in (SHOP, await token(house, endpoint="/whip")):
        status, code, headers = await begin(house, shown)
        assert (status, code) == (429, "too_many_requests")
        assert int(headers["Retry-After"]) > 0
    assert (await begin(house, BANK))[0] == 201


async def test_clients_of_moshi_server_take_a_keys_limit_for_a_full_house(house: House) -> None:
    for _ in range(2):
        assert (await begin(house, SHOP))[0] == 201
    url = f"{house.url}/api/asr-streaming"
    async with house.http.ws_connect(url, headers={"kyutai-api-key": SHOP}) as socket:
        error = msgpack.unpackb(await socket.receive_bytes())
        assert error["type"] == "Error"
        assert error["message"].startswith("no free channels: This key may have 2 sessions")
        await socket.receive()
    assert socket.close_code == 1013
    async with house.http.ws_connect(url, params={"auth_id": BANK}) as socket:
        assert msgpack.unpackb(await socket.receive_bytes())["type"] == "Ready"


async def test_a_token_may_be_for_pages_of_one_origin(open_house: OpenHouse) -> None:
    house = await open_house(keys=(SHOP,), origins=("https://shop.example", "https://bank.example"))
    shown = await token(house, endpoint="/whip", origin="https://shop.example")
    assert (await begin(house, shown, Origin="https://shop.example"))[0] == 201
    assert (await begin(house, shown, Origin="https://bank.example"))[:2] == (403, "forbidden_origin")
    assert (await begin(house, shown))[:2] == (403, "forbidden_origin")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"endpoint": "/v1/nowhere"}, "endpoint"),
        ({"endpoint": "/v1/tokens"}, "endpoint"),
        ({"endpoint": "/v1/sessions/{id}/events"}, "endpoint"),
        ({"endpoint": ["/whip"]}, "endpoint"),
        ({"expires_in": 0}, "1 to 600"),
        ({"expires_in": TOKEN_LIFETIME + 1}, "1 to 600"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": None}, "expires_in"),
        ({"expires_in": 1.5}, "expires_in"),
        ({"max_session": -1}, "max_session"),
        ({"max_session": 10**400}, "max_session"),
        ({"sessions": 0}, "sessions"),
        ({"origin": "shop.example"}, "origin"),
        ({"origin": "https://shop.example/"}, "origin"),
        ({"origin": "https://" + "x" * 4_000}, "origin"),
        ({"origin": ""}, "origin"),
        ({"lifetime": 60}, "lifetime"),
        ({"view": "x", "endpoint": "/whip"}, "endpoint"),
        ({"view": 7}, "view"),
        ({"view": "x", "expires_in": VIEW_LIFETIME + 1}, "1 to 3600"),
        ([], "object"),
        ("{", "object"),
    ],
)
async def test_terms_that_make_no_sense_are_refused_with_a_sentence(house: House, body: Any, named: str) -> None:
    status, answer = await ask(house, BANK, body)
    assert (status, answer["code"]) == (400, "bad_message")
    assert named in answer["detail"]


@pytest.mark.parametrize(
    ("data", "type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 70_000, "application/json", 413),
        (b"", "text/plain", 200),
    ],
)
async def test_bodies_that_are_not_json_are_refused(house: House, data: bytes, type: str, status: int) -> None:
    headers = {**bearer(SHOP), "Content-Type": type}
    async with house.http.post(f"{house.url}/v1/tokens", data=data, headers=headers) as response:
        assert response.status == status


async def test_tokens_are_for_those_who_have_a_key(house: House) -> None:
    assert (await ask(house, "wrong-key"))[0] == 401
    assert (await ask(house, await token(house)))[0] == 401
    assert (await ask(house, STAFF))[0] == 200


async def test_a_server_without_keys_makes_tokens_too(open_house: OpenHouse) -> None:
    house = await open_house()
    assert (await begin(house, await token(house, "")))[0] == 201


# Who may follow


async def test_a_session_is_followed_by_whose_it_is_by_operators_and_with_a_token(house: House) -> None:
    _, session, _ = await begin(house, await token(house, endpoint="/whip"))
    _, others, _ = await begin(house, BANK)
    view = await token(house, view=session)
    for each in house.switchboard.calls():
        each.session.end("bye")
    for shown in (SHOP, STAFF, view, await token(house, STAFF, view=session)):
        assert await follow(house, session, shown) == 200
    for shown, expected in ((BANK, 404), ("", 401), (await token(house), 401), (await token(house, STAFF), 401)):
        assert await follow(house, session, shown) == expected
    assert await follow(house, others, view) == 401
    assert await follow(house, f"{session}%2Fx", view) == 401
    assert (await ask(house, SHOP, {"view": others}))[0] == 404
    assert (await ask(house, SHOP, {"view": "no-such-session"}))[0] == 404
    assert (await ask(house, STAFF, {"view": others}))[0] == 200


async def test_a_view_token_begins_nothing(house: House) -> None:
    _, session, _ = await begin(house, SHOP)
    view = await token(house, view=session)
    assert (await begin(house, view))[:2] == (401, "unauthorized")
    assert (await ask(house, view))[0] == 401
    for method in ("GET", "DELETE", "PATCH"):
        async with house.http.request(method, f"{house.url}/whip/{session}", headers=bearer(view)) as response:
            assert response.status == 401
    assert await follow(house, session, view, door="/whip") == 401


async def test_without_keys_everyone_who_knows_the_id_may_follow(open_house: OpenHouse) -> None:
    house = await open_house()
    _, session, _ = await begin(house, "")
    house.switchboard.calls()[0].session.end("bye")
    assert await follow(house, session, "") == 200


# The list


async def listed(house: House, key: str, **headers: str) -> tuple[int, list[dict[str, Any]]]:
    async with house.http.get(f"{house.url}/v1/sessions", headers={**bearer(key), **headers}) as response:
        body = await response.json()
        return response.status, body.get("sessions", [])


async def test_sessions_are_listed_for_operators_and_each_keys_own_for_it(house: House) -> None:
    _, first, _ = await begin(house, await token(house, endpoint="/whip"))
    _, second, _ = await begin(house, BANK)
    browser = await house.dial(headers=bearer(BANK))
    voice = await browser.speak(("alpha", "bravo"))
    third = (await voice.told("ready"))["session"]
    await voice.told("word")
    _, everything = await listed(house, STAFF)
    assert [(each["id"], each["door"], each["key"]) for each in everything] == [
        (first, "whip", "shop"),
        (second, "whip", "bank"),
        (third, "signal", "bank"),
    ]
    assert (everything[0]["state"], everything[2]["state"]) == ("live", "live")
    assert everything[2]["words"] >= 1
    assert everything[2]["events"] >= everything[2]["words"]
    assert 0 <= everything[2]["seconds"] <= everything[0]["seconds"]
    assert [each["id"] for each in (await listed(house, SHOP))[1]] == [first]
    assert [each["id"] for each in (await listed(house, BANK))[1]] == [second, third]
    assert (await listed(house, "wrong-key"))[0] == 401
    assert (await listed(house, await token(house, STAFF)))[0] == 401
    told = json.dumps(everything)
    assert not [secret for secret in (SHOP, BANK, STAFF, "alpha", browser.all[0]["resume_token"]) if secret in told]


async def test_without_keys_the_list_is_for_the_servers_own_machine(open_house: OpenHouse) -> None:
    house = await open_house()
    _, session, _ = await begin(house, "")
    assert [each["id"] for each in (await listed(house, ""))[1]] == [session]
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via"):
        assert (await listed(house, "", **{name: "198.51.100.9"}))[0] == 401
    open_to_all = await open_house(no_auth=True)
    assert (await listed(open_to_all, ""))[0] == 200
    assert (await listed(open_to_all, "", Host="evil.example"))[0] == 401


# A page that has its own name lead here


async def test_a_page_whose_name_leads_here_gets_nothing_from_a_server_without_keys(open_house: OpenHouse) -> None:
    rebound = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    house = await open_house()
    status, code, _ = await begin(house, "", **rebound)
    assert (status, code) == (403, "forbidden_origin")
    assert (await listed(house, "", **rebound))[0] == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await house.dial(headers=rebound)
    assert refusal.value.status == 403
    for settings in ({"no_auth": True}, {"origins": ("http://evil.example:8080",)}):
        assert (await begin(await open_house(**settings), "", **rebound))[0] == 201
    assert (await begin(await open_house(keys=(SHOP,)), SHOP, **rebound))[0] == 201


async def test_no_log_line_holds_a_key_or_a_token(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "offhook")
    shown = await token(house)
    for way in (
        {"params": {"token": shown}},
        {"protocols": ("other", f"bearer.{shown}")},
        {"params": {"auth_id": SHOP}},
    ):
        browser = await house.dial(**way)
        voice = await browser.speak(("alpha",))
        await voice.told("ready")
        await browser.send(type="bye")
        await until(lambda: house.switchboard.live == 0)
    assert "opened session=" in caplog.text
    for secret in (shown, shown[3:40], SHOP):
        assert secret not in caplog.text
