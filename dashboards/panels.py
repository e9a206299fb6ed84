"""Panels of one look, and the InfluxQL target that the SDK does not have. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.cog import builder as cog_builder
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, dashboard

from dashboards.statements import Statement, data_source_uid

GREEN, ORANGE, RED = "green", "orange", "red"


@dataclass
class InfluxTarget(variants.Dataquery):
    """A raw InfluxQL query as Grafana's InfluxDB data source reads it."""

    ref_id: str
    statement: Statement
    uid: str

    def to_json(self) -> dict[str, Any]:
        """The form Grafana stores."""
        return {
            "refId": self.ref_id,
            "datasource": {"type": "influxdb", "uid": self.uid},
            "rawQuery": True,
            "query": self.statement.text,
            "resultFormat": "time_series",
            "alias": self.statement.alias,
        }


class InfluxTargetBuilder(cog_builder.Builder[InfluxTarget]):
    """Builder of an InfluxTarget, as the panels of the SDK ask for."""

    def __init__(self, plant: str, ref_id: str, statement: Statement) -> None:
        self._target = InfluxTarget(ref_id, statement, data_source_uid(plant, statement.resolution))

    def build(self) -> InfluxTarget:
        """The target."""
        return self._target


@dataclass(frozen=True, slots=True)
class Step:
    """From ``value`` on (None: from the lowest) a figure has this colour; over time it is drawn as a line."""

    value: float | None
    colour: str


@dataclass(frozen=True, slots=True)
class PanelText:
    """What a panel says of itself: title, description, unit (Grafana's id or ``suffix:`` and a text), decimals.

    ``names`` gives series (node or meter) the titles that people know them by.
    """

    title: str
    description: str
    unit: str
    decimals: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


def time_panel(plant: str, text: PanelText, statements: Sequence[Statement], *, interval: str) -> timeseries.Panel:
    """Lines over time. ``interval`` is the finest step; a gap stays a gap."""
    panel = (
        timeseries.Panel()
        .title(text.title)
        .description(text.description)
        .unit(text.unit)
        .decimals(text.decimals)
        .interval(interval)
        .span(12)
        .height(8)
        .span_nulls(False)  # noqa: FBT003 - the SDK's form
        .line_width(1)
        .targets(_targets(plant, statements))
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)  # noqa: FBT003 - the SDK's form
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
    )
    if text.steps:
        panel.thresholds(_thresholds(text.steps))
        panel.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    for series, name in text.names.items():
        panel.override_by_name(series, [dashboard.DynamicConfigValue("displayName", name)])
    return panel


def stat_panel(plant: str, text: PanelText, statements: Sequence[Statement]) -> stat.Panel:
    """One number for the whole span; nothing measured shows as a dash."""
    return (
        stat.Panel()
        .title(text.title)
        .description(text.description)
        .unit(text.unit)
        .decimals(text.decimals)
        .no_value("–")
        .span(6)
        .height(4)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["firstNotNull"]))
        .thresholds(_thresholds(text.steps or (Step(None, GREEN),)))
        .targets(_targets(plant, statements))
    )


def _targets(plant: str, statements: Sequence[Statement]) -> list[cog_builder.Builder[variants.Dataquery]]:
    return [InfluxTargetBuilder(plant, _ref_id(i), statement) for i, statement in enumerate(statements)]


def _ref_id(number: int) -> str:
    # A..Z, AA, AB, ... as Grafana counts
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _thresholds(steps: Sequence[Step]) -> dashboard_builders.ThresholdsConfig:
    return (
        dashboard_builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(step.value, step.colour) for step in steps])
    )
