"""`potwatt spool`: what waits in the spool, how far every sink is, and what was lost."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from collector.disk import OS_DISK
from collector.spool_losses import LostSpan
from collector.spool_status import SinkStatus, SpoolStatus, read_status
from plant.errors import InputError, TransportError
from plant.site import best_effort_sinks, required_sinks

console = Console(highlight=False)
MIB = 2**20


def spool(
    site: Annotated[Path, typer.Argument(help="The site file.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Backlog in hours, oldest reading and bytes of the spool, each sink's place, and every span that was lost."""
    from potwatt.load import load_site  # noqa: PLC0415  (help stays quick)
    from potwatt.running import fetch, is_running  # noqa: PLC0415

    loaded = load_site(site)
    directory = loaded.data_dir / "spool"
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no spool yet; `potwatt run {site}` makes it")
    status = read_status(
        OS_DISK,
        directory,
        required=required_sinks(loaded.site),
        best_effort=best_effort_sinks(loaded.site),
        bytes_max=loaded.site.spool.max_mib * MIB,
        now_ns=time.time_ns(),
    )
    told_by = "files"
    if is_running(loaded):
        try:
            parts = fetch(loaded, f"/api/v1/plants/{loaded.site.id}/live")["parts"]
        except TransportError as error:
            console.print(f"The running program did not say how far it is ({error}); this is what its files tell.")
        else:
            status, told_by = live_status(status, parts), "running program"
    if as_json:
        typer.echo(json.dumps(asdict(status) | {"told_by": told_by}, default=lambda cause: cause.value))
    else:
        show(status, told_by)


def live_status(status: SpoolStatus, parts: list[dict[str, Any]]) -> SpoolStatus:
    """The same with the sinks as the running program has them: a store may keep its cursor in its own file."""
    numbers = {part["part"]: part["numbers"] for part in parts}
    return replace(status, sinks=tuple(_live_sink(sink, numbers.get(f"spool:{sink.name}")) for sink in status.sinks))


def _live_sink(sink: SinkStatus, numbers: dict[str, float] | None) -> SinkStatus:
    if not numbers:
        return sink
    waiting = int(numbers["backlog_bytes"])
    return replace(
        sink,
        segment=int(numbers["segment"]),
        offset=int(numbers["offset"]),
        backlog_bytes=waiting,
        backlog_h=numbers["backlog_h"] if waiting else None,
        oldest_t_ns=int(numbers["oldest_t_ms"]) * 1_000_000 if waiting and numbers.get("oldest_t_ms") else None,
    )


def show(status: SpoolStatus, told_by: str) -> None:
    """Print it as tables."""
    share = status.bytes / status.bytes_max
    size = f"{status.bytes / MIB:.1f} of {status.bytes_max / MIB:.0f} MiB ({share:.0%})"
    console.print(f"{size} in {status.segments} segments, told by the {told_by}")
    table = Table("sink", "need", "backlog h", "backlog MiB", "oldest reading", "segment", "offset")
    for sink in status.sinks:
        hours = "0" if sink.backlog_h is None else f"{sink.backlog_h:.2f}"
        waiting = f"{sink.backlog_bytes / MIB:.2f}"
        table.add_row(sink.name, sink.need, hours, waiting, _instant(sink.oldest_t_ns), str(sink.segment), str(sink.offset))
    console.print(table)
    if not status.lost:
        console.print("Nothing was lost.")
        return
    lost = Table("lost: cause", "sink", "Frames at most", "from", "to", "told")
    for span in status.lost:
        lost.add_row(*_lost(span))
    console.print(lost)


def _lost(span: LostSpan) -> tuple[str, ...]:
    frames = "unknown" if span.frames is None else str(span.frames)
    first, last = _instant(span.first_t_ns), _instant(span.last_t_ns)
    return span.cause.value, span.sink or "any", frames, first, last, _instant(span.told_ns)


def _instant(t_ns: int | None) -> str:
    return "-" if t_ns is None else datetime.fromtimestamp(t_ns // 10**9, UTC).isoformat()
