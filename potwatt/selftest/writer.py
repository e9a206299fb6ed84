"""The program under test as a child process: started, killed, kept from its files, ended in order."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from plant.errors import PotwattError

_COMMAND = "from potwatt.cli import main; main()"
_REFUSED = 2
_STOP_S, _LOOK_S = 30.0, 0.02
_SAID_CHARACTERS = 1_500


class WriterFailed(PotwattError):
    """The program under test ended by itself."""

    fault = "program"


@dataclass(slots=True)
class Writer:
    """``potwatt run`` on a site file; its words go to ``log``. ``ends_s``: the end of each life (monotonic s)."""

    site: Path
    log: Path
    ends_s: list[float] = field(default_factory=list)
    kills: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting until it is ready. At once, so that nobody can be cancelled with a child half started."""
        with self.log.open("ab") as out:
            # a session of its own: the terminal's Ctrl-C is for us, and we end it
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-c", _COMMAND, "run", str(self.site)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    async def kill(self) -> None:
        """SIGKILL. Raises WriterFailed where it had ended by itself."""
        self.expect_alive()
        await self._end(signal.SIGKILL)
        self.kills += 1

    def expect_alive(self) -> None:
        """Raises WriterFailed where it ended by itself."""
        if not self.is_running:
            code = None if self._process is None else self._process.returncode
            raise WriterFailed(f"the program under test ended by itself with {code}: {self._said()}")

    async def refused_while_held(self, file: Path) -> None:
        """Hold the store's file as another program would: the program has to refuse to start, in words. Raises WriterFailed."""
        with file.open("r+b") as held:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.start()
            assert self._process is not None
            try:
                code = await _ended(self._process)
            except TimeoutError:
                raise WriterFailed("the program under test runs on files that another process holds") from None
            finally:
                await self.discard()
        if code != _REFUSED:
            raise WriterFailed(f"a held store file has to be refused with {_REFUSED}, it ended with {code}: {self._said()}")

    async def stop(self) -> None:
        """End it in order. Raises WriterFailed where it does not."""
        self.expect_alive()
        await self._end(signal.SIGTERM)
        if self._process is not None and self._process.returncode != 0:
            raise WriterFailed(f"the program under test ended with {self._process.returncode}: {self._said()}")

    async def discard(self) -> None:
        """Make sure that nothing is left running."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            await _ended(process)
        except TimeoutError:
            process.kill()
            await _ended(process)
        self.ends_s.append(time.monotonic())

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-_SAID_CHARACTERS:].strip() if self.log.exists() else "nothing"


async def _ended(process: subprocess.Popen[bytes]) -> int:
    """Exit code. Raises TimeoutError."""
    async with asyncio.timeout(_STOP_S):
        while (code := process.poll()) is None:  # noqa: ASYNC110  (a child watcher would hang on the loop in use)
            await asyncio.sleep(_LOOK_S)
    return code
