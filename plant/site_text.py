"""The shape of a site file's text: every key, its type and what it may hold. No meaning, no cross-references."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from plant.provinces import Province
from plant.settings.baseline import BaselineSettings, OutlookSettings
from plant.settings.carbon import CarbonSettings
from plant.settings.green import GreenSettings
from plant.settings.process import ProcessSettings
from plant.settings.solar import SolarField
from plant.settings.table import Id
from plant.settings.tariff import TariffSettings
from plant.settings.virtual import VirtualPoint

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Interval = Annotated[float, Field(ge=0.1, le=86_400)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Attribution = Literal["proportional", "renewable_first"]


class StrictText(BaseModel):
    """A table of the file: a key it does not know is a fault."""

    model_config = ConfigDict(extra="forbid")


class TitleText(StrictText):
    """A name in English and Chinese."""

    en: str
    zh: str = ""


class PlantText(StrictText):
    """[plant]: who and where, and how its days are cut."""

    id: Id
    name: TitleText
    enterprise: str = ""
    province: Province = ""
    zone: str = "Asia/Shanghai"
    data_dir: str = "potwatt-data"
    production_day_start: time = time(0)
    shift_starts: list[time] = [time(0), time(8), time(16)]
    closing_day: Annotated[int, Field(ge=1, le=28)] = 1
    profiles_dir: str = ""
    rules_dir: str = ""
    ledger_url: str = ""


class BusText(StrictText):
    """[[bus]]: a bus section."""

    id: Id
    voltage_kv: Positive = 10.0


class AllocationText(StrictText):
    """A dated key by which a shared consumer is split over potlines."""

    valid_from: datetime
    shares: dict[str, Share] = {}


class BranchText(StrictText):
    """[[branch]]: an edge of the graph."""

    id: Id
    kind: Literal["grid_tie", "generator", "pv", "storage", "rectifier_group", "feeder", "transformer", "coupler"]
    bus: str
    to_bus: str = ""
    name: TitleText | None = None
    purpose: Literal[
        "", "rectifier", "fume_treatment", "desulphurisation", "compressed_air", "auxiliary", "casthouse", "carbon_plant", "other"
    ] = ""
    potline: str = ""
    source: Literal["", "grid", "pv", "wind", "hydro", "biomass", "captive_coal", "captive_gas", "waste_heat"] = ""
    capacity_kw: Annotated[float, Field(ge=0)] = 0.0
    capacity_kwh: Annotated[float, Field(ge=0)] = 0.0
    efficiency: Annotated[float, Field(gt=0, le=1)] = 0.9
    serves: list[str] = []
    allocation: list[AllocationText] = []


class MountingText(StrictText):
    """[[point.mounting]]: a meter on a point, from when to when."""

    meter: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    direction: Literal["forward", "reverse"] = "forward"
    ct_ratio: Positive = 1.0
    vt_ratio: Positive = 1.0
    class_percent: Annotated[float, Field(gt=0, le=10)] = 0.5
    register_step_kwh: Annotated[float, Field(ge=0)] = 0.0


class PointText(StrictText):
    """[[point]]: a metering point with its mountings."""

    id: Id
    branch: str
    rank: Literal["main", "check", "derived"] = "main"
    side: Literal["ac", "dc"] = "ac"
    rated_power_kw: Annotated[float, Field(ge=0)] = 0.0
    mounting: list[MountingText] = Field(min_length=1)


class MeasuresText(StrictText):
    """The short form: a metering point with one mounting, written inside the meter."""

    branch: str
    rank: Literal["main", "check", "derived"] = "main"
    side: Literal["ac", "dc"] = "ac"
    rated_power_kw: Annotated[float, Field(ge=0)] = 0.0
    direction: Literal["forward", "reverse"] = "forward"
    ct_ratio: Positive = 1.0
    vt_ratio: Positive = 1.0
    class_percent: Annotated[float, Field(gt=0, le=10)] = 0.5
    register_step_kwh: Annotated[float, Field(ge=0)] = 0.0


class MeterText(StrictText):
    """[[meter]]: a device that is read."""

    id: Id
    profile: str
    endpoint: str
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[str, Field(pattern=r"^([0-9]{12})?$")] = ""
    topic: str = ""
    poll_interval_s: Interval = 1.0
    silent_after_s: Positive = 30.0
    serial: str = ""
    name: TitleText | None = None
    measures: MeasuresText | None = None


class EndpointText(StrictText):
    """[[endpoint]]: a gateway, serial line, broker or import."""

    id: Id
    protocol: Literal[
        "modbus_tcp", "modbus_tls", "modbus_rtu", "modbus_rtu_over_tcp", "dlt645", "dlt645_over_tcp", "mqtt", "import"
    ]
    host: str = ""
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    serial_port: str = ""
    baud_rate: Annotated[int, Field(ge=300, le=4_000_000)] = 9600
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1
    requests_per_s_max: Positive | None = None
    timeout_s: Positive = 1.0
    pause_after_connect_s: Annotated[float, Field(ge=0)] = 0.0
    pause_between_s: Annotated[float, Field(ge=0)] = 0.0
    client_id: str = ""
    username: str = ""
    password_env: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mqtt_version: Literal[4, 5] = 5
    topics: list[str] = []
    qos: Literal[0, 1] = 1
    shared_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")] = ""
    sparkplug_rebirth: Literal["never", "request"] = "never"


class PotsText(StrictText):
    """Pots of a line by state, from an instant on."""

    valid_from: datetime
    running: Annotated[int, Field(ge=0)]
    preheating: Annotated[int, Field(ge=0)] = 0
    starting: Annotated[int, Field(ge=0)] = 0
    stopped: Annotated[int, Field(ge=0)] = 0
    bypassed: Annotated[int, Field(ge=0)] = 0


class PotlineText(StrictText):
    """[[potline]]: pots, expectation, feed and scale."""

    id: Id
    name: TitleText | None = None
    pots: list[PotsText] = Field(min_length=1)
    current_efficiency_ref: Annotated[float, Field(gt=0.5, le=1)] = 0.93
    current_efficiency_uncertainty: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    feed_meter: str = ""
    scale_meter: str = ""
    effect_meter: str = ""
    pot_meter: Annotated[str, Field(pattern=r"^([^{}]*\{pot\}[^{}]*)?$")] = ""
    scale_class_percent: Annotated[float, Field(ge=0, le=10)] = 0.3
    inventory_uncertainty_percent: Annotated[float, Field(ge=0, le=50)] = 0.5
    current_efficiency_drift: Annotated[float, Field(ge=0, le=0.1)] = 0.01


class AttributionText(StrictText):
    """A rule of attribution from an instant on; the first of a list may leave its instant out."""

    valid_from: datetime | None = None
    rule: Attribution


class AccountingText(StrictText):
    """[accounting]: settings of the balance. ``attribution`` is one rule or a dated list of them."""

    attribution: Attribution | Annotated[list[AttributionText], Field(min_length=1)] = "proportional"
    gap_max_s: Positive = 900.0
    settle_after_s: Annotated[float, Field(ge=0)] = 120.0
    close_after_days: Annotated[int, Field(ge=1)] = 10
    closing: Literal["automatic", "manual"] = "automatic"
    measured_share_min: Share = 0.5
    quota_target_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    green_share_target_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    green_share_target_period: Literal["interval", "day", "month", "year", "any"] = "year"


class StoreText(StrictText):
    """[store]: where series go."""

    kind: Literal["embedded", "influxdb", "memory"] = "embedded"
    server: Literal["influxdb-1", "influxdb-2", "influxdb-3", "opengemini"] = "influxdb-1"
    url: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:8086"
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "potwatt"
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    ca_file: str = ""
    gzip: bool = False
    timeout_s: Positive = 10.0
    raw_days: Annotated[int, Field(ge=1)] = 90
    minute_days: Annotated[int, Field(ge=1)] = 400
    quarter_days: Annotated[int, Field(ge=1)] = 3660


class MirrorText(StrictText):
    """[[mirror]]: another InfluxDB that gets every reading too."""

    id: Id
    need: Literal["required", "best_effort"] = "best_effort"
    server: Literal["influxdb-1", "influxdb-2", "influxdb-3", "opengemini"] = "influxdb-1"
    url: Annotated[str, Field(pattern=r"^https?://")]
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "potwatt"
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    ca_file: str = ""
    gzip: bool = False
    timeout_s: Positive = 10.0
    raw_days: Annotated[int, Field(ge=1)] = 90
    minute_days: Annotated[int, Field(ge=1)] = 400
    quarter_days: Annotated[int, Field(ge=1)] = 3660


class SpoolText(StrictText):
    """[spool]: bounds, group commit, and what goes first when it is full."""

    max_mib: Annotated[int, Field(ge=8)] = 2048
    max_hours: Positive = 168.0
    segment_mib: Annotated[int, Field(ge=1)] = 16
    commit_ms: Annotated[float, Field(ge=1, le=5000)] = 50.0
    when_full: Literal["hold", "drop_oldest", "drop_newest", "thin"] = "hold"


class ApiText(StrictText):
    """[api]: where the API listens."""

    host: str = "127.0.0.1"
    port: Port = 8000
    tls_cert: str = ""
    tls_key: str = ""
    keys_file: str = ""


class AlertsText(StrictText):
    """[alerts]: where alerts go and how long a condition must hold."""

    urls_env: str = ""
    language: Literal["en", "zh"] = "en"
    e1_for_s: Positive = 900.0
    green_share_for_s: Positive = 900.0
    silent_for_s: Positive = 60.0
    e1_clear_margin_kwh_per_t: Annotated[float, Field(ge=0)] = 20.0
    green_share_clear_margin_percent: Annotated[float, Field(ge=0, le=100)] = 0.5
    figure_for_s: Positive = 900.0
    completeness_min: Annotated[float, Field(ge=0, le=1)] = 0.95
    current_efficiency_min_percent: Annotated[float, Field(ge=0, le=100)] = 92.0
    anode_effect_minutes_max: Positive | None = None
    clear_for_s: Annotated[float, Field(ge=0)] = 300.0
    remind_after_s: Positive = 14_400.0


class SiteFile(StrictText):
    """The whole file."""

    plant: PlantText
    bus: list[BusText] = Field(min_length=1)
    branch: list[BranchText] = []
    point: list[PointText] = []
    potline: list[PotlineText] = []
    endpoint: list[EndpointText] = []
    meter: list[MeterText] = []
    accounting: AccountingText = AccountingText()
    virtual: list[VirtualPoint] = []
    green: GreenSettings = GreenSettings()
    tariff: TariffSettings = TariffSettings()
    process: ProcessSettings = ProcessSettings()
    carbon: CarbonSettings = CarbonSettings()
    solar: list[SolarField] = []
    baseline: list[BaselineSettings] = []
    outlook: OutlookSettings = OutlookSettings()
    store: StoreText = StoreText()
    mirror: list[MirrorText] = []
    spool: SpoolText = SpoolText()
    api: ApiText = ApiText()
    alerts: AlertsText = AlertsText()
