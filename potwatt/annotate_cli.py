"""`potwatt annotate`: a verdict on stored readings, recorded and applied from then on."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from plant.errors import InputError


def annotate(
    meter: Annotated[str, typer.Argument(help="Whose readings.")],
    verdict: Annotated[
        str, typer.Argument(help="stuck, spike, bad, exchange, good, wrong_ratio, reversed, 'wrong_ratio x1.5' or 'reversed x-1'")
    ],
    start: Annotated[str, typer.Argument(help="2026-11-20T08:00, in the plant's zone unless it says another")],
    end: Annotated[str, typer.Argument(help="the first instant that it does not hold for any more")],
    site: Annotated[Path, typer.Option("--site", help="The site file.")],
    who: Annotated[str, typer.Option(help="Who found it out.")],
    cause: Annotated[str, typer.Option(help="Why: what was found in the field, which document.")],
    quantity: Annotated[str, typer.Option(help="Which quantity; all of the meter unless told.")] = "",
) -> None:
    """Say what is wrong (or right) with readings of a meter: what they touch is computed anew, they themselves stay."""
    from potwatt.load import load_site  # noqa: PLC0415  (help stays quick)

    loaded = load_site(site)
    zone = loaded.site.calendar.zone
    body = {
        "meter": meter,
        "quantity": quantity,
        "start": _instant(start, zone),
        "end": _instant(end, zone),
        "verdict": verdict,
        "who": who,
        "cause": cause,
    }
    id_ = asyncio.run(_recorded(loaded, body))
    Console(highlight=False).print(
        f"verdict {id_}: {meter} {quantity or 'all quantities'} {verdict}, {body['start']} to {body['end']}"
    )


def _instant(text: str, zone: Any) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r}: {error}; give an instant such as 2026-11-20T08:00 or 2026-11-20T08:00+08:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).isoformat()


async def _recorded(loaded: Any, body: dict[str, str]) -> int:
    """A program that holds the files is asked; else the ledger is opened for a moment."""
    from pydantic import ValidationError  # noqa: PLC0415

    from api.problem import Problem  # noqa: PLC0415
    from api.routes_annotations import AnnotationPost, verdict_of  # noqa: PLC0415
    from potwatt.clock import SystemClock  # noqa: PLC0415
    from potwatt.program import build_ledger  # noqa: PLC0415
    from potwatt.running import ask, holds_files  # noqa: PLC0415

    if holds_files(loaded):
        answer = await asyncio.to_thread(ask, loaded, f"/api/v1/plants/{loaded.site.id}/annotations", body)
        return int(answer["id"])
    try:
        found = verdict_of(loaded.site, AnnotationPost.model_validate(body))
    except (Problem, ValidationError) as error:
        raise InputError(str(error)) from None
    loaded.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = build_ledger(loaded, SystemClock())
    try:
        await ledger.setup()
        [id_] = await ledger.annotate([found])
        await ledger.audit(loaded.site.id, found.author, "annotate", {"id": id_, **body})
    finally:
        await ledger.close()
    return id_
