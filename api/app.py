"""The application: routes, guard and live stream around one context."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from api import (
    problem,
    routes_alerts,
    routes_annotations,
    routes_copies,
    routes_explain,
    routes_health,
    routes_imports,
    routes_ledger,
    routes_overview,
    routes_plants,
    routes_reports,
    routes_series,
    routes_studies,
    routes_upkeep,
)
from api.assets import asset_router, load_assets
from api.auth import Keys
from api.context import AlertView, Analytics, Context, Copies, Importer, Verifier
from api.guard import Guard
from api.hub import LiveHub
from api.live import live_document
from api.overview import Overview
from plant.ports import Bus, Clock, HealthBoard, Ledger, SeriesStore
from plant.rulebook import Rulebook
from plant.site import Site

_ROUTES = (
    routes_overview,
    routes_plants,
    routes_series,
    routes_reports,
    routes_studies,
    routes_explain,
    routes_ledger,
    routes_annotations,
    routes_alerts,
    routes_copies,
    routes_imports,
    routes_upkeep,
    routes_health,
)


def create_app(
    *,
    site: Site,
    analytics: Analytics,
    store: SeriesStore,
    ledger: Ledger,
    bus: Bus,
    health: HealthBoard,
    clock: Clock,
    auth: Keys | None,
    version: str,
    rulebook: Rulebook,
    alerts: AlertView | None = None,
    copies: Copies | None = None,
    verifier: Verifier | None = None,
    importer: Importer | None = None,
) -> FastAPI:
    """The HTTP application of one plant, not yet listening. Raises ConfigError when a file of the page is missing."""
    context = Context(
        site, analytics, store, ledger, bus, health, clock, auth, version, rulebook, alerts, copies, verifier, importer
    )
    hub = LiveHub(partial(live_document, context), bus, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.start()
        try:
            yield
        finally:
            await hub.stop()

    app = FastAPI(
        title="potwatt",
        version=version,
        description="Green share and energy per tonne of an aluminium smelter, with the completeness of every figure.",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from a CDN
        redoc_url=None,
    )
    app.state.context = context
    app.state.hub = hub
    app.state.overview = Overview(context)
    problem.install(app)
    for module in _ROUTES:
        app.include_router(module.router)
    app.include_router(asset_router(load_assets()))
    app.add_middleware(Guard, loopback_only=auth is None)
    return app


def close_streams(app: FastAPI) -> None:
    """End all event streams at once; a server that is to stop waits for open answers, so call this first."""
    app.state.hub.close_streams()
