"""The same command again after each change of a source file, for developers."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
WATCHED = ("engine", "media", "offhook", "signaling", "web")


def run_reloading(arguments: Sequence[str]) -> int:
    """Run `offhook` with these arguments less --reload, until it is interrupted; the exit code."""
    try:
        from watchfiles import run_process
    except ImportError:
        print("offhook: --reload needs watchfiles: pip install -e '.[dev]' -c constraints.txt", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "offhook.cli", *(given for given in arguments if given != "--reload")]
    run_process(*(ROOT / name for name in WATCHED), target=shlex.join(command), target_type="command")
    return 0
