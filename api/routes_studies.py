"""Studies: questions that reach beyond one period, such as the tariff of a year, an outlook, a baseline."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from analytics.report import kind_of
from analytics.studies import STUDIES
from analytics.study import Studied
from api.answers import json_answer
from api.context import Ctx, Plant
from api.schemas import figures_json
from api.times import check_period

router = APIRouter(prefix="/api/v1/plants/{plant}/studies", tags=["studies"])


@router.get("")
async def studies(_: Plant) -> Response:
    """The studies there are, and the periods that each can be asked about."""
    return json_answer({"studies": [{"name": s.name, "kinds": list(s.kinds), "in_reports": list(s.in_reports)} for s in STUDIES]})


@router.get("/{name}")
async def study(
    _: Plant, context: Ctx, name: str, period: Annotated[str, Query(description="2026-11-20, 2026-11 or 2026")]
) -> Response:
    """Answer of a study about a day, month or year: figures with band and completeness, and its tables."""
    kind = kind_of(period)
    found = await context.analytics.study(name, kind, check_period(kind, period))
    return json_answer(study_json(name, period, found))


def study_json(name: str, period: str, found: Studied) -> dict[str, Any]:
    """An answer as the API and the command line give it."""
    return {"study": name, "period": period, "figures": figures_json(found.figures), **found.body}
