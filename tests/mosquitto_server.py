"""A real mosquitto on a free loopback port with its files in a temporary directory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from real_servers import free_port, listens, program

START_S = 10.0


class MosquittoServer:
    """Keeps sessions and messages over a restart; ``extra`` are lines of its configuration."""

    def __init__(self, directory: Path, *extra: str) -> None:
        self.port, self._directory = free_port(), directory
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "mosquitto.conf"
        anonymous = [] if any("allow_anonymous" in line for line in extra) else ["allow_anonymous true"]
        lines = [
            f"listener {self.port} 127.0.0.1",
            *anonymous,
            "persistence true",
            f"persistence_location {directory}/",
            "max_inflight_messages 0",
            "max_queued_messages 1000000",
            f"log_dest file {directory}/log",
            *extra,
        ]
        self._config.write_text("\n".join(lines) + "\n")
        # started by root it would drop to a user of its own, who may not write here
        if os.geteuid() == 0:
            self._config.write_text(self._config.read_text() + "user root\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it listens."""
        self._process = subprocess.Popen([program("mosquitto"), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if listens(self.port):
                return
            time.sleep(0.02)
        self.stop()
        pytest.fail(f"mosquitto does not listen: {(self._directory / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        """End it in good order, so that it writes its sessions down."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:  # it can miss the signal on a busy machine
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def forget(self) -> None:
        """Remove what it kept (while it is stopped)."""
        for path in self._directory.glob("mosquitto.db*"):
            path.unlink()
