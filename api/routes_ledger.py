"""The ledger: what people and documents state. Nothing is ever changed; a correction is a new entry."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from api.answers import json_answer
from api.context import Context, Ctx, Editor, Plant
from api.problem import Problem, unknown
from api.schemas import LedgerPost, entry_json
from api.times import END, parse_span, rfc3339, to_ns
from plant.contract_energy import BOUGHT_KINDS
from plant.entry_data import plausible_entry
from plant.ports import LedgerEntry
from plant.register_statements import STATED_KINDS
from plant.series import Span
from plant.site import Site

router = APIRouter(prefix="/api/v1/plants/{plant}/ledger", tags=["ledger"])
Kind = Literal[
    "metal_tapped",
    "ingots",
    "metal_in_pots",
    "metal_charged",
    "metal_cold",
    "metal_alloyed",
    "anode_effect",
    "anode_net",
    "anode_gross",
    "fuel",
    "verified_emissions",
    "meter_reading",
    "meter_exchange",
    "certificate",
    "contract_energy",
    "statement",
]
# molten metal and effects are a line's; what the casthouse and the carbon plant state may be a line's or the plant's
OF_LINES = ("metal_tapped", "metal_in_pots", "anode_effect")
OF_LINES_OR_PLANT = ("ingots", "metal_charged", "metal_cold", "metal_alloyed", "anode_net", "anode_gross")
LEDGER_SPAN_MAX_S = 3_700 * 86_400.0
_FUTURE_MAX_NS = 24 * 3_600 * 1_000_000_000


@router.get("/{kind}")
async def read_entries(
    site: Plant, context: Ctx, kind: Kind, start: str = "-31d", end: str = "now", history: Literal["current", "all"] = "current"
) -> Response:
    """Entries that touch the span, oldest first; ``history=all`` shows superseded ones too."""
    span = parse_span(start, end, context.clock.now_ns(), LEDGER_SPAN_MAX_S)
    found = await context.ledger.entries(site.id, [kind], span, with_superseded=history == "all")
    return json_answer({"plant": site.id, "kind": kind, "entries": [entry_json(e) for e in found]})


@router.post("/{kind}", status_code=201)
async def add_entry(site: Plant, context: Ctx, caller: Editor, kind: Kind, post: LedgerPost) -> Response:
    """Record a statement: 201 with its id, or 200 ``already recorded`` when the same statement came before; 409 when its
    (source, key) came with another amount or time. A correction names the entry it ``supersedes``; the ledger refuses one
    that is not there or already corrected."""
    entry = _entry(site, kind, post)
    if entry.end_ns > context.clock.now_ns() + _FUTURE_MAX_NS and kind != "certificate":
        raise Problem(
            422,
            "in-the-future",
            "In the future",
            f"the entry ends {rfc3339(entry.end_ns)}, more than a day ahead; check the date",
        )
    ids = await context.ledger.add([entry])
    if not ids:
        await _refuse_contradiction(context, entry)
        return json_answer({"result": "already recorded", "source": entry.source, "key": entry.key})
    await context.ledger.audit(site.id, caller.name, f"ledger.{kind}", {"id": ids[0], "who": entry.who, "key": entry.key})
    return json_answer({"result": "recorded", "id": ids[0]}, 201)


async def _refuse_contradiction(context: Context, entry: LedgerEntry) -> None:
    """Raise Problem 409 where the ledger holds something else under the identity of an entry."""
    if not await context.ledger.contradicted([entry]):
        return
    found = await context.ledger.entries(entry.plant, [entry.kind], Span(0, to_ns(END)))
    standing = [e for e in found if (e.source, e.key) == (entry.source, entry.key)]
    advice = (
        f"entry {standing[-1].id} holds {standing[-1].amount} {standing[-1].unit} from {rfc3339(standing[-1].start_ns)}; "
        f"to correct it send supersedes = {standing[-1].id}, for another statement choose another key"
        if standing
        else "what it stated was corrected since under another key; history=all shows the chain"
    )
    raise Problem(
        409,
        "contradiction",
        "Something else is recorded under this key",
        f"found {entry.amount} {entry.unit} from {rfc3339(entry.start_ns)} under key {entry.key!r} of {entry.source!r}; {advice}",
        supersedes=standing[-1].id if standing else None,
    )


def _entry(site: Site, kind: Kind, post: LedgerPost) -> LedgerEntry:
    allowed = subjects(site, kind)
    if post.subject not in allowed:
        raise unknown("subject", post.subject, allowed, status=422)
    try:
        return plausible_entry(site, post.entry(site.id, kind))
    except ValueError as error:
        raise Problem(422, "invalid-entry", "The entry does not fit", str(error)) from None


def subjects(site: Site, kind: Kind) -> list[str]:
    """What an entry of a kind may be about: potlines for molten metal, metering points for readings, contracts and ties."""
    if kind in OF_LINES:
        return list(site.potlines)
    if kind in STATED_KINDS:
        return list(site.points)
    if kind in BOUGHT_KINDS:
        ties = [tie.id for tie in site.branches_of("grid_tie")] if kind == "statement" else []
        return [*ties, *(contract.id for contract in site.green.contract)]
    return ["plant", *site.potlines] if kind in OF_LINES_OR_PLANT else ["plant"]
