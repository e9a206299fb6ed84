"""What the routes work with, and who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Protocol

from fastapi import Depends, Path, Request

from analytics.explanations import Explained
from analytics.figures import Live, PeriodFigures
from analytics.study import Studied
from api.auth import LOCAL, Caller, Keys, Role
from api.problem import Problem, unknown
from plant.frame import FrameBlock
from plant.ports import Bus, Clock, HealthBoard, Ledger, ReportVersion, SeriesStore, Written
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import Site


class Analytics(Protocol):
    """The figures, as ``analytics.service.Analytics`` gives them."""

    async def figures(self, span: Span) -> PeriodFigures:
        """Everything computed for a span."""
        ...

    async def live(self) -> Live:
        """The plant now and its running periods."""
        ...

    async def study(self, name: str, kind: str, period: str) -> Studied:
        """Answer of a study about a day, month or year."""
        ...

    async def explain(self, node: str, indicator: str, asked: str | Span) -> Explained:
        """What a figure rests on, of a period, a running window or a span."""
        ...

    async def report(self, kind: str, period: str) -> ReportVersion:
        """The current report of a day, month or year."""
        ...

    async def close_period(
        self, kind: str, period: str, cause: str, who: str, waiting: Literal["kept", "waived"] = "kept"
    ) -> ReportVersion:
        """Freeze a report."""
        ...


class AlertView(Protocol):
    """The alerts that stand now."""

    def active(self) -> list[dict[str, Any]]:
        """One mapping an alert, ready for JSON."""
        ...

    async def acknowledge(self, key: str, who: str) -> bool:
        """Take note of a raised alert; False when there is none of that key."""
        ...


ExportedRows = Literal["raw", "intervals", "1m", "15m"]
ExportedFile = Literal["parquet", "csv"]


class Copies(Protocol):
    """Copies of what the process holds in files, made within its data folder."""

    async def back_up(self) -> tuple[FilePath, int, tuple[str, ...]]:
        """Folder, bytes and what is not in it, in words."""
        ...

    async def export(self, what: ExportedRows, span: Span, kind: ExportedFile) -> tuple[FilePath, int]:
        """File and rows."""
        ...


class Verifier(Protocol):
    """Compares the spool that the process holds with the store."""

    async def verify(self, span: Span) -> dict[str, Any]:
        """Counts by meter (``meters``), places that cannot be read (``unread``) and what was told lost (``lost``)."""
        ...


class Importer(Protocol):
    """Takes history into the stores that the process holds."""

    async def take(self, block: FrameBlock, interval_s: int) -> Written:
        """Store what is new of a block of one meter, whose Frames stand for ``interval_s``. Raises InputError, StoreError."""
        ...

    async def open_nodes(self, span: Span) -> int:
        """Of how many nodes slots of [start, end) are still to be computed anew."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Everything the wiring hands to the API. ``auth`` None: no keys, local users read and write."""

    site: Site
    analytics: Analytics
    store: SeriesStore
    ledger: Ledger
    bus: Bus
    health: HealthBoard
    clock: Clock
    auth: Keys | None
    version: str
    rulebook: Rulebook
    alerts: AlertView | None
    copies: Copies | None = None
    verifier: Verifier | None = None
    importer: Importer | None = None


def context_of(request: Request) -> Context:
    """The context of the running application."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]


async def caller_of(request: Request, context: Ctx) -> Caller:
    """Who calls: the holder of the key sent, or the local user where there are no keys. Raises Problem 401."""
    if context.auth is None:
        return LOCAL
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.headers.get("x-api-key", "")
    if not token:
        raise Problem(
            401, "no-key", "A key is required", "no key was sent; send `Authorization: Bearer <key>` or `X-API-Key: <key>`"
        )
    caller = await context.auth.identify(token.strip())
    if caller is None:
        raise Problem(
            401, "wrong-key", "The key is not valid", "the key sent is not in the keys file; ask who runs this plant's potwatt"
        )
    return caller


Viewer = Annotated[Caller, Depends(caller_of)]


async def editor_of(caller: Viewer) -> Caller:
    """A caller who may write. Raises Problem 403."""
    if caller.role < Role.EDITOR:
        raise Problem(
            403, "not-editor", "The key may only read", f"key {caller.name!r} is a viewer; writing wants an editor's key"
        )
    return caller


Editor = Annotated[Caller, Depends(editor_of)]


async def known_plant(plant: Annotated[str, Path()], context: Ctx, _: Viewer) -> Site:
    """The site behind ``{plant}``, for callers who may read. Raises Problem 404 with the plants there are."""
    if plant != context.site.id:
        raise unknown("plant", plant, [context.site.id])
    return context.site


Plant = Annotated[Site, Depends(known_plant)]
