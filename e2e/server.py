"""A real server in a process of its own, as `offhook serve` starts it."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

import psutil

GREETING = re.compile(r"listening on (http://\S+)")
END = 30.0  # seconds for a server to end by itself


class Server:
    """`offhook serve` with these arguments; it is warm once this object exists. Raises RuntimeError if it never is."""

    def __init__(self, log: Path, *arguments: str, port: int = 0) -> None:
        self._log = log
        self._stderr: IO[bytes] = log.open("ab")
        command = (sys.executable, "-m", "offhook.cli", "serve", *arguments, "--port", str(port))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._stderr, text=True)
        self.url = self._greeted()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text()

    def health(self) -> dict[str, Any]:
        """What it says of itself, whatever the status of the answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                body: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                body = json.load(error)
        return body

    def engine(self) -> psutil.Process:
        """The process of its engine."""
        (child,) = psutil.Process(self._process.pid).children()
        return child

    def holdings(self) -> tuple[int, int, int, int]:
        """Threads and file descriptors of the server, then of its engine."""
        server, engine = psutil.Process(self._process.pid), self.engine()
        return server.num_threads(), server.num_fds(), engine.num_threads(), engine.num_fds()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._close()

    def end(self) -> int:
        """End it as Ctrl-C in a service manager would; its exit status. Ending twice is harmless."""
        self._process.terminate()
        return self._close()

    def _close(self) -> int:
        assert self._process.stdout is not None
        try:
            return self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process.stdout.close()
            self._stderr.close()

    def _greeted(self) -> str:
        assert self._process.stdout is not None
        greeting = GREETING.search(self._process.stdout.readline())  # empty when it has ended
        if greeting is None:
            self.kill()
            raise RuntimeError(f"the server did not start:\n{self.log}")
        return greeting[1]
