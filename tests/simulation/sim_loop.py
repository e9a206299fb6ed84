"""An asyncio loop on virtual time: one thread, no sockets, nothing that a seed does not decide."""

from __future__ import annotations

import asyncio
import errno
import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

EXECUTOR_S = (0.0, 0.0, 0.0002, 0.002, 0.02, 0.3)  # what a thread may take to begin, and its answer to come back


class Crash(BaseException):
    """The process ends here, in the middle of whatever it does."""


class Stuck(Exception):
    """Tasks wait for what nobody will bring."""


class SimLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in order of time and of coming; ``on_step`` is called before each and may raise Crash.

    What is sent to a thread runs at some later instant in one piece, and its answer comes later still.
    """

    def __init__(self, rng: Random, on_step: Callable[[], None]) -> None:
        self._rng, self._on_step = rng, on_step
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._now_s = 0.0
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.failures: list[BaseException] = []
        self.epoch = 0  # of the process that runs; threads of an earlier one are gone
        self.slow = 1.0
        self._ending = False

    # ---- running ----

    def run_until(self, done: Callable[[], bool], until_s: float) -> bool:
        """Run until ``done`` says so (True) or virtual time reaches ``until_s`` (False)."""
        asyncio._set_running_loop(self)
        try:
            while not done():
                if not self._advance(until_s):
                    return False
                self._one()
            return True
        finally:
            asyncio._set_running_loop(None)

    def _advance(self, until_s: float) -> bool:
        while not self._ready:
            if not self._timers:
                raise Stuck("nothing is due any more")
            at_s, _, handle = self._timers[0]
            if at_s > until_s:
                self._now_s = until_s
                return False
            heapq.heappop(self._timers)
            self._now_s = max(self._now_s, at_s)
            if not handle.cancelled():
                self._ready.append(handle)
        return True

    def _one(self) -> None:
        self._on_step()  # before it is taken: a task that is unwound needs the wake-up it was about to get
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]

    def end_process(self) -> None:
        """Unwind every task of the process that ended; time stands still."""
        self.epoch += 1
        self._ending = True
        asyncio._set_running_loop(self)
        try:
            for _ in range(20):
                alive = [task for task in self.tasks if not task.done()]
                if not alive:
                    break
                for task in alive:
                    task.cancel()
                self._drain()
            else:
                raise Stuck(f"tasks that cannot be cancelled: {alive}")
        finally:
            asyncio._set_running_loop(None)
            self._ending = False
        for task in self.tasks:
            if not task.cancelled():
                task.exception()
        self.tasks.clear()
        self.failures.clear()

    def _drain(self) -> None:
        for _ in range(500):
            if not self._ready:
                return
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]

    # ---- what asyncio asks of a loop ----

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is stepped over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Futures of a process that ended."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        if self._ending:
            future.set_exception(OSError(errno.EIO, "the process has ended"))
            return future
        self.call_later(self._pause_s(), self._work, self.epoch, future, func, args)
        return future

    def _work(self, epoch: int, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if epoch != self.epoch:
            return
        try:
            result, failed = func(*args), None
        except Exception as error:
            result, failed = None, error
        self.call_later(self._pause_s(), self._answer, epoch, future, result, failed)

    def _answer(self, epoch: int, future: asyncio.Future[Any], result: object, failed: Exception | None) -> None:
        if epoch != self.epoch or future.done():
            return
        if failed is None:
            future.set_result(result)
        else:
            future.set_exception(failed)

    def _pause_s(self) -> float:
        return self._rng.choice(EXECUTOR_S) * self.slow
