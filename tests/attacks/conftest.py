import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_attack_fills_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a caller does is the caller's fault: it is counted, and is no warning and no traceback of ours."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING] == []
