"""OpenAI's own client asks which models there are."""

import openai
import pytest
from openai import AsyncOpenAI

from tests.signaling.house import House


async def test_whatever_model_a_client_wants_is_there(house: House) -> None:
    async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == ["scripted"]
        for name in ("whisper-1", "kyutai/stt-1b-en_fr", "☃"):
            model = await client.models.retrieve(name)
            assert (model.id, model.object) == (name, "model")
        with pytest.raises(openai.APIStatusError) as refused:
            await client.models.retrieve("x" * 300)
    assert (refused.value.status_code, refused.value.code) == (413, "too_large")
