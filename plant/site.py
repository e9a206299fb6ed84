"""The plant as a graph: bus sections, branches between them, metering points on branches with dated mounting.

Branch kinds and how their power enters the balance of their bus (sign rule: + away from the grid):
grid_tie (point +import / -export), generator and pv (-generation), storage (+charge / -discharge),
rectifier_group, feeder and transformer (+load), coupler and transformer with ``to_bus`` (between two buses, + from ``bus``
to ``to_bus``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from plant.calendar import PlantCalendar
from plant.settings.baseline import BaselineSettings, OutlookSettings
from plant.settings.carbon import CarbonSettings
from plant.settings.green import GreenSettings
from plant.settings.process import ProcessSettings
from plant.settings.solar import SolarField
from plant.settings.tariff import TariffSettings
from plant.settings.virtual import VirtualPoint

SOURCE_KINDS = ("grid_tie", "generator", "pv")
LOAD_KINDS = ("rectifier_group", "feeder")
BRANCH_KINDS = (*SOURCE_KINDS, "storage", *LOAD_KINDS, "transformer", "coupler")
RENEWABLE_SOURCES = ("pv", "wind", "hydro", "biomass")
SOURCES = ("grid", *RENEWABLE_SOURCES, "captive_coal", "captive_gas", "waste_heat")
PURPOSES = (
    "rectifier",
    "fume_treatment",
    "desulphurisation",
    "compressed_air",
    "auxiliary",
    "casthouse",
    "carbon_plant",
    "other",
)
MAIN_SINK = "store"  # the series store's name in the spool and in health
IMPORTED = "imported"  # profile of a meter whose history comes from files alone
TO_TAPPING = ("fume_treatment", "desulphurisation", "compressed_air", "auxiliary")  # counted in e2 (GB 21346, working boundary)
RANKS = ("main", "check", "derived")


@dataclass(frozen=True, slots=True)
class Mounting:
    """A meter on a metering point from ``valid_from_ns`` until the next mounting, or until ``valid_to_ns`` where that is set.

    ``direction`` +1: the meter's import is flow away from the grid; -1 swaps registers and flips powers.
    ``ratio`` multiplies energies and powers of a meter that reads its secondary side (1 where it reads primary).
    ``class_percent`` is the accuracy class (0.2 for 0.2S); ``register_step_kwh`` the register's step after the ratio.
    """

    meter: str
    valid_from_ns: int
    direction: int = 1
    ct_ratio: float = 1.0
    vt_ratio: float = 1.0
    class_percent: float = 0.5
    register_step_kwh: float = 0.0
    valid_to_ns: int | None = None

    @property
    def ratio(self) -> float:
        """Factor on powers and energies."""
        return self.ct_ratio * self.vt_ratio


@dataclass(frozen=True, slots=True)
class MeteringPoint:
    """A place on a branch where a meter is mounted. Only one point of a branch and side supplies each kWh. One without any
    mounting is virtual: its energy follows from others by the formula of ``Site.virtual``."""

    id: str
    branch: str
    rank: str
    side: str  # "ac" | "dc"
    rated_power_kw: float
    mountings: tuple[Mounting, ...]

    def mounted(self) -> list[tuple[Mounting, int]]:
        """Each mounting with the instant that it ends at: its own end or the start of the next one; 2**62 where it has none."""
        ends = [*(m.valid_from_ns for m in self.mountings[1:]), 2**62][: len(self.mountings)]
        return [(m, min(end, m.valid_to_ns or 2**62)) for m, end in zip(self.mountings, ends, strict=True)]

    def mounting_at(self, t_ns: int) -> Mounting | None:
        """The mounting in force at an instant, None before the first or after a removal."""
        found = None
        for mounting in self.mountings:
            if mounting.valid_from_ns <= t_ns and (mounting.valid_to_ns is None or t_ns < mounting.valid_to_ns):
                found = mounting
        return found


@dataclass(frozen=True, slots=True)
class Branch:
    """An edge of the graph. ``serves`` names the potlines that share it, ``allocation`` from when in which shares."""

    id: str
    kind: str
    bus: str
    title_en: str
    title_zh: str
    to_bus: str = ""
    purpose: str = "other"
    potline: str = ""
    source: str = ""  # one of SOURCES for kinds that supply
    capacity_kw: float = 0.0  # PV: DC peak; storage: rated power
    capacity_kwh: float = 0.0  # storage
    efficiency: float = 0.9  # storage, round trip, provisional until a period closes
    serves: tuple[str, ...] = ()
    allocation: tuple[AllocationKey, ...] = ()


@dataclass(frozen=True, slots=True)
class AllocationKey:
    """Shares of a shared consumer by potline from an instant on; no shares = by metal produced."""

    valid_from_ns: int
    shares: dict[str, float] = field(default_factory=dict)


class PotState(IntEnum):
    """What a pot is at, as the quantity ``pot_state`` numbers it."""

    PREHEATING = 1
    STARTING = 2
    RUNNING = 3
    STOPPED = 4
    BYPASSED = 5


@dataclass(frozen=True, slots=True)
class PotRegister:
    """Pots of a line by state from an instant on."""

    valid_from_ns: int
    running: int
    preheating: int = 0
    starting: int = 0
    stopped: int = 0
    bypassed: int = 0


@dataclass(frozen=True, slots=True)
class Potline:
    """A potline; ``current_efficiency_ref`` is the plant's stated expectation (0..1), used until weighed metal corrects it."""

    id: str
    title_en: str
    title_zh: str
    pots: tuple[PotRegister, ...]
    current_efficiency_ref: float
    current_efficiency_uncertainty: float
    feed_meter: str = ""  # meter with pots_running and pot_voltage_mean
    scale_meter: str = ""  # meter of kind event with metal_tapped
    effect_meter: str = ""  # meter of kind event with anode_effect_duration
    pot_meter: str = ""  # meters with pot_voltage, one a pot: their id with {pot} for its number, as in "pot-1-{pot}"
    scale_class_percent: float = 0.3  # of what the ladle scale weighed, the same way for every tap
    inventory_uncertainty_percent: float = 0.5  # of one statement of the metal in the pots
    current_efficiency_drift: float = 0.01  # by how much the mean of some days may differ from that of others (0..1)

    def pot_of(self, meter: str) -> int | None:
        """Number of the pot that a meter of this line watches, None for any other meter."""
        before, _, after = self.pot_meter.partition("{pot}")
        number = meter[len(before) : len(meter) - len(after)]
        found = bool(self.pot_meter) and number.isdecimal() and meter == f"{before}{number}{after}"
        return int(number) if found else None

    def pots_at(self, t_ns: int) -> PotRegister | None:
        """The register in force at an instant."""
        found = None
        for register in self.pots:
            if register.valid_from_ns <= t_ns:
                found = register
        return found


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A gateway, serial line or broker that meters are reached through. Secrets are named by environment variable or file.

    ``requests_per_s_max`` spares gateways that serve others too. ``shared_group`` makes several collectors share one MQTT
    stream. ``sparkplug_rebirth`` = request lets the collector ask an edge node for its birth: the one message it publishes.
    """

    id: str
    # modbus_tcp | modbus_tls | modbus_rtu | modbus_rtu_over_tcp | dlt645 | dlt645_over_tcp | mqtt | import (files alone)
    protocol: str
    host: str
    port: int
    timeout_s: float = 1.0
    pause_after_connect_s: float = 0.0
    pause_between_s: float = 0.0
    client_id: str = ""
    username: str = ""
    password_env: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mqtt_version: int = 5
    topics: tuple[str, ...] = ()
    serial_port: str = ""
    baud_rate: int = 9600
    parity: str = "even"
    stop_bits: int = 1
    requests_per_s_max: float | None = None
    qos: int = 1
    shared_group: str = ""
    sparkplug_rebirth: str = "never"


@dataclass(frozen=True, slots=True)
class Meter:
    """A device that is read: profile, where, how often. ``silent_after_s`` is when it counts as silent."""

    id: str
    profile: str
    endpoint: str
    unit: int = 1
    address: str = ""  # DL/T 645: twelve digits
    topic: str = ""
    poll_interval_s: float = 1.0
    silent_after_s: float = 30.0
    title_en: str = ""
    title_zh: str = ""
    serial: str = ""  # what the device has to say of itself, "" where any will do


@dataclass(frozen=True, slots=True)
class AttributionEdition:
    """The rule of attribution from an instant on."""

    valid_from_ns: int
    rule: str  # proportional | renewable_first


@dataclass(frozen=True, slots=True)
class Accounting:
    """Settings of the balance. ``attribution`` holds until the first of ``attribution_editions``, which are in order of time."""

    attribution: str = "proportional"  # | renewable_first
    gap_max_s: float = 900.0
    settle_after_s: float = 120.0
    close_after_days: int = 10
    closing: str = "automatic"  # | manual: months and years are closed, and closed reports renewed, by people alone
    measured_share_min: float = 0.5
    quota_target_percent: float | None = None
    green_share_target_percent: float | None = None
    green_share_target_period: str = "year"  # | month | day | interval | any: what the target is one of
    attribution_editions: tuple[AttributionEdition, ...] = ()

    def green_share_target(self, kind: str) -> float | None:
        """The target for the physical green share of a kind of period, None where it is not one of such periods."""
        return self.green_share_target_percent if self.green_share_target_period in ("any", kind) else None

    def rule_at(self, t_ns: int) -> str:
        """The rule of attribution in force at an instant."""
        return next((e.rule for e in reversed(self.attribution_editions) if e.valid_from_ns <= t_ns), self.attribution)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The series store: ``kind`` embedded | influxdb | memory."""

    kind: str = "embedded"
    url: str = "http://127.0.0.1:8086"
    database: str = "potwatt"
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    ca_file: str = ""
    gzip: bool = False
    timeout_s: float = 10.0
    raw_days: int = 90
    minute_days: int = 400
    quarter_days: int = 3660
    server: str = "influxdb-1"  # influxdb-1 | influxdb-2 | influxdb-3 | opengemini


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another InfluxDB that gets every reading too; ``need`` required | best_effort says whether the spool waits for it."""

    id: str
    need: str
    store: StoreSettings

    @property
    def sink(self) -> str:
        """Its name in the spool and in health."""
        return f"mirror-{self.id}"


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Bounds of the spool, its group commit, and ``when_full`` hold | drop_oldest | drop_newest | thin."""

    max_mib: int = 2048
    max_hours: float = 168.0
    segment_mib: int = 16
    commit_ms: float = 50.0
    when_full: str = "hold"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the API listens. Beyond loopback it wants TLS and a file of keys."""

    host: str = "127.0.0.1"
    port: int = 8000
    tls_cert: str = ""
    tls_key: str = ""
    keys_file: str = ""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where alerts go: apprise addresses by environment variable, how long a condition must hold, and by how much a
    figure must come back within its limit before the alert ends."""

    urls_env: str = ""
    language: str = "en"
    e1_for_s: float = 900.0
    green_share_for_s: float = 900.0
    silent_for_s: float = 60.0
    e1_clear_margin_kwh_per_t: float = 20.0
    green_share_clear_margin_percent: float = 0.5
    figure_for_s: float = 900.0
    completeness_min: float = 0.95
    current_efficiency_min_percent: float = 92.0
    anode_effect_minutes_max: float | None = None
    clear_for_s: float = 300.0
    remind_after_s: float = 14_400.0


@dataclass(frozen=True, slots=True)
class Site:
    """Everything a plant is configured to be; ``edition`` is a hash of the text it came from."""

    id: str
    title_en: str
    title_zh: str
    enterprise: str
    province: str
    calendar: PlantCalendar
    data_dir: str
    edition: str
    buses: tuple[str, ...]
    bus_voltage_kv: dict[str, float]
    branches: dict[str, Branch]
    points: dict[str, MeteringPoint]
    potlines: dict[str, Potline]
    endpoints: dict[str, Endpoint]
    meters: dict[str, Meter]
    profiles_dir: str = ""
    rules_dir: str = ""
    ledger_url: str = ""
    accounting: Accounting = Accounting()
    store: StoreSettings = StoreSettings()
    spool: SpoolSettings = SpoolSettings()
    api: ApiSettings = ApiSettings()
    alerts: AlertSettings = AlertSettings()
    mirrors: tuple[Mirror, ...] = ()
    virtual: tuple[VirtualPoint, ...] = ()
    green: GreenSettings = field(default_factory=GreenSettings)
    tariff: TariffSettings = field(default_factory=TariffSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    carbon: CarbonSettings = field(default_factory=CarbonSettings)
    solar: tuple[SolarField, ...] = ()
    baselines: tuple[BaselineSettings, ...] = ()
    outlook: OutlookSettings = field(default_factory=OutlookSettings)

    _ranked: dict[tuple[str, str], list[MeteringPoint]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranked: dict[tuple[str, str], list[MeteringPoint]] = {}
        for point in sorted(self.points.values(), key=lambda p: RANKS.index(p.rank)):
            ranked.setdefault((point.branch, point.side), []).append(point)
        object.__setattr__(self, "_ranked", ranked)

    def points_of(self, branch: str, side: str = "ac") -> list[MeteringPoint]:
        """Points of a branch and side, best rank first."""
        return list(self._ranked.get((branch, side), ()))

    def branches_of(self, *kinds: str) -> list[Branch]:
        """Branches of the kinds given, in file order."""
        return [b for b in self.branches.values() if b.kind in kinds]


def required_sinks(site: Site) -> tuple[str, ...]:
    """Sinks that the spool keeps every reading for."""
    return (MAIN_SINK, *(m.sink for m in site.mirrors if m.need == "required"))


def best_effort_sinks(site: Site) -> tuple[str, ...]:
    """Sinks that may miss what does not fit the spool any more."""
    return tuple(m.sink for m in site.mirrors if m.need != "required")
