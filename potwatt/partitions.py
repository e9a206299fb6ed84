"""The same work on many partitions, in this process or in several: the one place that knows Dask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dask.base import compute
from dask.delayed import delayed

In = TypeVar("In")
Out = TypeVar("Out")


def over_partitions(work: Callable[[In], Out], partitions: Sequence[In], workers: int) -> list[Out]:
    """``work`` on every partition, results in the order of the partitions. More than one worker means processes, so ``work``
    and partitions are picklable."""
    tasks = [delayed(work)(part) for part in partitions]
    scheduler = "synchronous" if workers == 1 else "processes"
    return list(compute(*tasks, scheduler=scheduler, num_workers=workers))  # type: ignore[no-untyped-call]
