"""Config as a command line: an option for each setting, and the list of them all."""

import argparse
from collections.abc import Collection, Iterator
from dataclasses import Field, fields
from typing import Any

from signaling.config import Config, parse


def add_arguments(
    parser: "argparse.ArgumentParser | argparse._ArgumentGroup", names: Collection[str] | None = None
) -> None:
    """An option for every setting, or those of these names; one that is not given leaves the environment's word."""
    for item in _chosen(names):
        text = f"{item.metadata['help']} [{' or '.join(item.metadata['environment'])}; default: {shown(item.default)}]"
        text = text.replace("%", "%%")  # argparse would take it for a format
        if item.name.startswith("no_"):  # there is nothing to take back with --no-no-
            parser.add_argument(option(item.name), action="store_const", const=True, help=text)
        elif isinstance(item.default, bool):
            parser.add_argument(option(item.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(option(item.name), metavar=item.name.upper(), help=text)


def read(arguments: argparse.Namespace, names: Collection[str] | None = None) -> Config:
    """The environment, and over it what the command line says. Raises ConfigError.

    With `names`, only these settings are looked at: the others are as they come, whatever the environment says."""
    chosen = _chosen(names)
    said: dict[str, Any] = {item.name: item.default for item in fields(Config) if item not in chosen}
    for item in chosen:
        value = getattr(arguments, item.name)
        if value is not None:
            said[item.name] = value if isinstance(value, bool) else parse(item, value, option(item.name))
    return Config.read(said)


def listing() -> Iterator[str]:
    """Every setting in a line or two: its variables and default, and what it is."""
    for item in fields(Config):
        yield f"  {' or '.join(item.metadata['environment'])} (default: {shown(item.default)})"
        yield f"      {item.metadata['help']}"


def _chosen(names: Collection[str] | None) -> "list[Field[Any]]":
    return [item for item in fields(Config) if names is None or item.name in names]


def option(name: str) -> str:
    """A setting's name on the command line."""
    return f"--{name.replace('_', '-')}"


def shown(default: Any) -> str:
    """A default as people write it."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    return text or "none"
