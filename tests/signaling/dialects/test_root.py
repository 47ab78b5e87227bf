import json

import msgpack
import pytest

from signaling.dialects.root import Root
from tests.signaling.dialects.conversation import golden, play


@pytest.mark.parametrize("name", ["root_yap", "root_moshi", "root_refused", "root_unknown"])
def test_a_conversation_goes_as_written(name: str) -> None:
    assert play(golden(name), Root()) == golden(name)


def test_a_full_house_is_told_in_every_language_and_first_in_binary() -> None:
    binary, text = Root().error("busy", "All lines are busy.")
    full = {"type": "Error", "message": "no free channels"}
    assert isinstance(binary, bytes)
    assert msgpack.unpackb(binary) == json.loads(str(text)) == full
