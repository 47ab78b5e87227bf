"""moshi-server's pages about itself, in its own shape: what was built, and what runs with how many places.

Its clients ask the first whether it is alive, and spread over several servers by the second.
"""

import platform
import sysconfig
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from signaling.checkout import Checkout
from signaling.config import Config

PATH = "/api/asr-streaming"
UNKNOWN = "unknown"
PACKAGE = "offhook"


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """The fields of moshi-server's build_info (utils.rs), all of them text, and our version. What has no meaning for
    a program in Python says what stands in its place, or "unknown"."""

    build_timestamp: str
    build_date: str
    git_branch: str
    git_timestamp: str
    git_date: str
    git_hash: str
    git_describe: str
    rustc_host_triple: str
    rustc_version: str
    cargo_target_triple: str
    version: str

    @classmethod
    def read(cls, root: Path | None = None) -> "BuildInfo":
        """What can be read from the installed package, and from the git checkout at `root`, by default our own."""
        checkout = Checkout.read(root or Path(__file__).parent.parent)
        built = _installed()
        triple = sysconfig.get_config_var("HOST_GNU_TYPE") or f"{platform.machine()}-{platform.system()}".lower()
        return cls(
            build_timestamp=_moment(built),
            build_date=_day(built),
            git_branch=checkout.branch or UNKNOWN,
            git_timestamp=_moment(checkout.committed),
            git_date=_day(checkout.committed),
            git_hash=checkout.commit or UNKNOWN,
            git_describe=checkout.commit[:7] or UNKNOWN,
            rustc_host_triple=triple,
            rustc_version=f"none: {platform.python_implementation()} {platform.python_version()}",
            cargo_target_triple=triple,
            version=_version(),
        )

    def fields(self) -> dict[str, str]:
        """As the page tells it."""
        return asdict(self)


def modules_info(config: Config, capacity: int, free: int) -> list[dict[str, str]]:
    """What runs here, as moshi-server's modules_info lists it. Places that would not be given count as used."""
    return [
        {
            "type": "batched_asr",
            "path": PATH,
            "lm": engine_name(config),
            "audio_tokenizer": "mimi" if config.engine == "moshi" else "none",
            "used_slots": str(capacity - free),
            "total_slots": str(capacity),
        }
    ]


def engine_name(config: Config) -> str:
    """The model that hears, or the engine where it has but one."""
    return config.model if config.engine == "moshi" else config.engine


def _installed() -> int | None:
    """When the package was installed: nothing else of it is built."""
    try:
        files = metadata.files(PACKAGE) or []
        found = [path for path in (Path(str(file.locate())) for file in files) if path.name in ("METADATA", "PKG-INFO")]
        return int(found[0].stat().st_mtime) if found else None
    except (metadata.PackageNotFoundError, OSError):
        return None


def _version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _moment(seconds: int | None) -> str:
    return UNKNOWN if seconds is None else f"{np.datetime64(seconds, 's')}Z"


def _day(seconds: int | None) -> str:
    return _moment(seconds).partition("T")[0]
