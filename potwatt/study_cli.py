"""`potwatt study`: the answer of a study, without a running service or from one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def study(
    name: Annotated[str, typer.Argument(help="Which study; a wrong name is answered with all there are.")],
    period: Annotated[str, typer.Argument(help="2026-11-20, 2026-11 or 2026")],
    site: Annotated[Path, typer.Option("--site", help="The site file.")],
) -> None:
    """Print a study (tariff of a year, outlook, baseline, ...) as JSON."""
    import orjson  # noqa: PLC0415  (help stays quick)

    from potwatt.load import load_site, secrets_of  # noqa: PLC0415

    loaded = load_site(site)
    document = asyncio.run(_asked(loaded, secrets_of(loaded.site), name, period))
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


async def _asked(loaded: Any, secrets: Mapping[str, str], name: str, period: str) -> Any:
    """A program that holds the files is asked; else what is open is computed first."""
    from analytics.report import kind_of  # noqa: PLC0415
    from api.routes_studies import study_json  # noqa: PLC0415
    from potwatt.imports import opened  # noqa: PLC0415
    from potwatt.running import fetch, holds_files  # noqa: PLC0415

    if holds_files(loaded):
        path = f"/api/v1/plants/{loaded.site.id}/studies/{name}?period={period}"
        return await asyncio.to_thread(fetch, loaded, path)
    async with opened(loaded, secrets) as at:
        while await at.analytics.step():
            pass
        return study_json(name, period, await at.analytics.study(name, kind_of(period), period))
