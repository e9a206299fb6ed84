"""The month and the year at a glance."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.answers import json_answer
from api.context import Plant

router = APIRouter(prefix="/api/v1/plants/{plant}/overview", tags=["plants"])


@router.get("")
async def overview(request: Request, _: Plant) -> Response:
    """Green shares, tariff, carbon, outlook, PV and supply of the running month and year, in both languages, at most a minute
    old: each figure with band, completeness, limits and whether those are placeholders."""
    return json_answer(await request.app.state.overview.document())
