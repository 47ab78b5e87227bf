"""`python -m bench`: every measurement, one after another. Each says how to run it alone."""

import subprocess
import sys

MEASUREMENTS = (
    ("calls", "-n", "200"),
    ("outages",),
    ("around",),
    ("engine",),
    ("moonshine", "latency"),
    ("moonshine", "load"),
    ("capacity", "--minutes", "2", "--soak", "3"),
    ("pressure",),
    ("chaos",),
    ("crosstalk",),
    ("files",),
    ("fuzz", "50000"),
)


def main() -> int:
    """Run them all; the number of those that failed."""
    failures = 0
    for name, *arguments in MEASUREMENTS:
        print(f"\n── bench.{name} {' '.join(arguments)}", flush=True)
        failures += subprocess.run([sys.executable, "-m", f"bench.{name}", *arguments], check=False).returncode != 0
    return failures


if __name__ == "__main__":
    sys.exit(main())
