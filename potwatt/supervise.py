"""Keep a role running: what fails is reported in words and started again, the rest of the plant goes on. And end it in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from plant.errors import PotwattError
from plant.ports import HealthBoard

log = structlog.get_logger()
RESTART_AFTER_S = 1.0
RESTART_AFTER_MAX_S = 60.0
STOP_PATIENCE_S = 5.0


async def keep_running(name: str, run: Callable[[], Awaitable[None]], health: HealthBoard) -> None:
    """Run a role until it returns or is cancelled; start it again after a failure, waiting longer each time."""
    wait_s = RESTART_AFTER_S
    while True:
        started_s = asyncio.get_running_loop().time()
        try:
            await run()
        except asyncio.CancelledError:
            raise
        except PotwattError as error:
            health.set(f"role:{name}", "down", str(error))
        except Exception as error:
            log.exception("role failed", role=name)
            health.set(f"role:{name}", "down", f"{type(error).__name__}: {error}")
        else:
            return
        if asyncio.get_running_loop().time() - started_s > RESTART_AFTER_MAX_S:
            wait_s = RESTART_AFTER_S
        health.count("potwatt_role_restarts", {"role": name})
        await asyncio.sleep(wait_s)
        health.set(f"role:{name}", "ok", "started again")
        wait_s = min(2 * wait_s, RESTART_AFTER_MAX_S)


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for all of them. A second request comes late, so that it does not break into an orderly end,
    and does come, since a library may swallow the first one."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    pending = set(tasks)
    while pending:
        _, pending = await asyncio.wait(pending, timeout=STOP_PATIENCE_S)
        for task in pending:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
