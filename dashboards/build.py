"""All dashboards of a plant as JSON, the queries they ask, and the files for Grafana's provisioning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.energy import energy_dashboard
from plant.rulebook import Rulebook
from plant.site import Site


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of a panel: the uid of its data source and its InfluxQL with Grafana's variables."""

    panel: str
    data_source_uid: str
    text: str


def dashboards(site: Site, rulebook: Rulebook, at: date) -> dict[str, dict[str, Any]]:
    """Every dashboard by name, in Grafana's JSON model, with the limits in force on ``at``."""
    built = {"potwatt-energy": energy_dashboard(site, rulebook, at)}
    # through text, so that what is tested is what Grafana reads
    return {name: json.loads(json.dumps(dashboard, cls=JSONEncoder)) for name, dashboard in built.items()}


def queries(dashboard: Mapping[str, Any]) -> list[PanelQuery]:
    """What a dashboard asks, panel by panel."""
    return list(_queries(dashboard))


def _queries(dashboard: Mapping[str, Any]) -> Iterator[PanelQuery]:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield PanelQuery(panel["title"], target["datasource"]["uid"], target["query"])


def write_dashboards(site: Site, rulebook: Rulebook, folder: Path, at: date | None = None) -> list[Path]:
    """Write one file a dashboard into ``folder`` (made if need be), with the limits in force on ``at`` (today if None)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, dashboard in dashboards(site, rulebook, at or datetime.now(site.calendar.zone).date()).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
