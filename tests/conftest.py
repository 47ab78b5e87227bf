from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.signaling.house import House, OpenHouse


@pytest.fixture
async def open_house() -> AsyncIterator[OpenHouse]:
    """Makes servers with the settings given, and closes them after the test."""
    houses: list[House] = []

    async def make(**settings: Any) -> House:
        houses.append(await House.open(**settings))
        return houses[-1]

    yield make
    for house in houses:
        await house.close()


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """A server as it comes."""
    return await open_house()
