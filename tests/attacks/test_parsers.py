"""A little of what `python -m bench.fuzz` does at length, the same every time; and every crash of the past."""

import asyncio
import random

import pytest

from tests.attacks.fuzz import CORPUS, TARGETS, corpus

INPUTS = 6_000  # for each target that has the usual share: seconds for all of them


async def complaints_of(name: str, inputs: list[bytes]) -> list[object]:
    """What the event loop was told of while a target judged these inputs. Raises what a crash raises."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    target = TARGETS[name]()
    for data in inputs:
        await target.judge(data)
    await target.close()
    await asyncio.sleep(0)
    return complaints


@pytest.mark.parametrize("name", TARGETS)
async def test_input_bent_by_chance_is_taken_or_refused(name: str) -> None:
    target = TARGETS[name]()
    inputs = [target.make(random.Random(seed)) for seed in range(round(INPUTS * target.share))]
    await target.close()
    assert await complaints_of(name, inputs) == []


@pytest.mark.parametrize("name", TARGETS)
async def test_it_takes_what_is_whole_and_refuses_some_of_what_is_bent(name: str) -> None:
    """Or the fuzzing would only ever see one side of the parser."""
    target = TARGETS[name]()
    outcomes = {await target.judge(target.make(random.Random(seed))) for seed in range(200)}
    await target.close()
    assert outcomes == {"taken", "refused"}


@pytest.mark.parametrize("name", [path.name for path in sorted(CORPUS.iterdir())])
async def test_what_was_too_much_once_is_not_any_more(name: str) -> None:
    assert await complaints_of(name, corpus(name)) == []
