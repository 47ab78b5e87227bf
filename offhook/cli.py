"""`offhook`: the commands. Each is one file with `add_arguments` and `run`."""

import argparse
import sys
from collections.abc import Sequence

from offhook import serve, settings, transcribe

COMMANDS = {"serve": serve, "transcribe": transcribe}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    try:
        chosen = parser().parse_args(arguments)
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="offhook",
        description="A WebRTC voice endpoint: a browser speaks, and the words come back while they are being spoken.",
        epilog="\n".join(
            ["settings of the server, as environment variables or options of serve:", *settings.listing()]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
