"""Files that nobody should send, posted to a whole server: what each is answered with, and that nothing is left."""

import asyncio
from pathlib import Path

from signaling.transports.files import PATH
from tests.attacks.hostile import HOSTILE
from tests.signaling.house import House, OpenHouse
from tests.signaling.uploads import Left, form

TABLE = Path(__file__).parent / "hostile.txt"
AT_ONCE = 2
LONGEST = 20  # seconds of audio


async def judged(house: House, name: str) -> str:
    """A line of the table: the file, its status, and what its sender reads."""
    async with house.http.post(house.url + PATH, data=form(HOSTILE[name]())) as response:
        answer = await response.json()
    message = f"heard: {answer['duration']:.1f} s" if response.status == 200 else answer["detail"]
    return f"{name} | {response.status} | {message}"


async def test_hostile_files_are_answered_as_written_and_leave_nothing(open_house: OpenHouse) -> None:
    """The file beside this one is the table. A new row is written without its answer; the failure shows it."""
    house = await open_house(max_duration=LONGEST, kept_files=0)
    left = Left(house)
    turns = asyncio.Semaphore(AT_ONCE)

    async def line(name: str) -> str:
        async with turns:
            return await judged(house, name)

    table = await asyncio.gather(*map(line, HOSTILE))
    assert len(table) >= 40
    assert table == TABLE.read_text().splitlines()
    assert (await house.health())["status"] == "ok"
    await left.nothing()
    assert (await judged(house, "10 ms")).startswith("10 ms | 200")


def test_no_sentence_names_a_path_or_a_library() -> None:
    text = TABLE.read_text().lower()
    assert not [word for word in ("/tmp", "ffmpeg", "pyav", "errno", "traceback", "passwd") if word in text]
