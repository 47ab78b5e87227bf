"""Debian's Firefox, driven through WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/), which it speaks itself.

Its microphone is made by the page from a recording, since Firefox has no flag for one. That also leaves its candidates
hidden behind mDNS names, as they are for a page that only listens.
"""

import asyncio
import base64
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
STARTED = 60.0  # seconds for Firefox to be there
ANSWERED = 30.0  # seconds for it to do what it is told
ENDED = 10.0  # seconds for it to end

PREFERENCES: dict[str, bool | int] = {
    "media.autoplay.default": 0,  # sound may play without a click
    "media.autoplay.blocking_policy": 0,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}

RECORDING = "/a-recording-for-this-test.wav"  # as if the server had it: the page takes sound from nowhere else

# The recording as a microphone, from the moment at which a page opens it. It is captured from an element that plays it:
# an AudioContext does not run where there is no sound card.
MICROPHONE = """() => {
  navigator.mediaDevices.getUserMedia = async () => {
    const player = new Audio('RECORDING');
    const microphone = player.mozCaptureStream();
    const opened = new Promise((resolve) => microphone.addEventListener('addtrack', resolve, { once: true }));
    await player.play();
    await opened;
    window.player = player; // or it might be collected while it plays
    return microphone;
  };
}"""


class Firefox:
    """One page in a Firefox of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._page = ""
        self._recording = b""

    async def open(self, url: str, recording: bytes) -> None:
        """Open a page whose microphone hears this recording (WAV)."""
        self._recording = recording
        await self._command("session.new", capabilities={})
        await self._command("session.subscribe", events=["network.beforeRequestSent"])
        wanted = {"type": "pattern", "pathname": RECORDING}
        await self._command("network.addIntercept", phases=["beforeRequestSent"], urlPatterns=[wanted])
        text = MICROPHONE.replace("RECORDING", RECORDING)
        await self._command("script.addPreloadScript", functionDeclaration=text)
        self._page = (await self._command("browsingContext.create", type="tab"))["context"]
        await self._command("browsingContext.navigate", context=self._page, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """What an expression is worth on the page: text, a number, or nothing. Promises are awaited. Raises
        RuntimeError with what the page threw."""
        target = {"context": self._page}
        answer = await self._command("script.evaluate", expression=script, target=target, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")

    async def until(self, condition: str, within: float) -> None:
        """Wait until this is true on the page, which looks at every change of its own document."""
        script = """new Promise((resolve, reject) => {
            const look = () => (CONDITION) && (watch.disconnect(), resolve());
            const watch = new MutationObserver(look);
            watch.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
            look();
            setTimeout(() => reject(new Error('not within WITHIN s: ' + document.body.innerText)), WITHIN * 1000);
        })"""
        await self.evaluate(script.replace("CONDITION", condition).replace("WITHIN", str(within)))

    async def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = await self._send(method, parameters)
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                break
            if answer.get("method") == "network.beforeRequestSent" and answer["params"]["isBlocked"]:
                await self._send("network.provideResponse", self._sound(answer["params"]["request"]["request"]))
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _send(self, method: str, parameters: dict[str, Any]) -> int:
        number = next(self._numbers)
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        return number

    def _sound(self, request: str) -> dict[str, Any]:
        """The recording as the answer to this request."""
        body = {"type": "base64", "value": base64.b64encode(self._recording).decode()}
        headers = [{"name": "Content-Type", "value": {"type": "string", "value": "audio/wav"}}]
        return {"request": request, "statusCode": 200, "reasonPhrase": "OK", "headers": headers, "body": body}


def write_profile(folder: Path) -> Path:
    """A new profile in which sound may play and nothing is fetched from elsewhere."""
    folder.mkdir()
    lines = (f'user_pref("{name}", {json.dumps(value)});\n' for name, value in PREFERENCES.items())
    (folder / "user.js").write_text("".join(lines))
    return folder


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Firefox]:
    """A Firefox with this profile (see `write_profile`); it has ended when this is over."""
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    assert found, "the browser tests need Firefox: apt-get install firefox-esr"
    process = await asyncio.create_subprocess_exec(
        found,
        *("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(STARTED):
            url = await _address(process.stderr)
        draining = asyncio.create_task(_drain(process.stderr))
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/session", max_msg_size=0) as socket:
            yield Firefox(socket)
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
    finally:
        await _end(process)


async def _address(stderr: asyncio.StreamReader) -> str:
    while line := await stderr.readline():
        if found := LISTENING.search(line):
            return found[1].decode()
    raise RuntimeError("Firefox ended before it listened")


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.readline():
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(ENDED):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
