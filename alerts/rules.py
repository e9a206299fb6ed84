"""The rules every plant starts with: what each looks at, its limit, and how its condition is judged. Pure.

Energy per tonne is held against the benchmark in force by the band's near edge: an alert says "proven over", never
"perhaps over". It ends when the value itself is back within the limit by the plant's margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from alerts.engine import S_TO_NS, Condition, Sample, Threshold, Timing
from plant import nodes
from plant.errors import IncomparableError
from plant.indicators import INDICATORS, Figure
from plant.rulebook import EXCEEDED, MISSED, Rule, Rulebook, status
from plant.site import IMPORTED, MAIN_SINK, Site

RuleId = Literal[
    "e1-over-benchmark",
    "green-share-under-target",
    "meter-silent",
    "session-lost",
    "store-failing",
    "broker-dropped",
    "readings-lost",
    "corrections-due",
    "tariff-over-threshold",
    "supply-outside",
    "pv-ratio-drop",
    "meter-suspect",
    "e1-over-baseline",
    "completeness-low",
    "current-efficiency-low",
    "anode-effects-over",
    "certificates-ending",
    "certificate-gap",
]
E1: Final = "e1-over-benchmark"
GREEN_SHARE: Final = "green-share-under-target"
SILENT: Final = "meter-silent"
SESSION: Final = "session-lost"
STORE: Final = "store-failing"
DROPPED: Final = "broker-dropped"
LOST: Final = "readings-lost"
CORRECTIONS: Final = "corrections-due"
FILES: Final = "store-files"  # the health part of the embedded store's closed days
TARIFF: Final = "tariff-over-threshold"
SUPPLY: Final = "supply-outside"
PV_DROP: Final = "pv-ratio-drop"
SUSPECT: Final = "meter-suspect"
E1_BASELINE: Final = "e1-over-baseline"
COMPLETENESS: Final = "completeness-low"
EFFICIENCY: Final = "current-efficiency-low"
EFFECTS: Final = "anode-effects-over"
ENDING: Final = "certificates-ending"
GAP: Final = "certificate-gap"
TARIFF_REMIND_S = 7 * 86_400.0  # a year's figure moves slowly
STORE_FOR_S = 300.0  # a store is started anew and upgraded in less; readings wait in the spool meanwhile
WINDOW: Final = "interval"  # what the last 24 h are to a rule: no day, month or year
Figures = Mapping[str, Mapping[str, Figure]]
_NOT_TOLD = Sample(None, None, None)


@dataclass(frozen=True, slots=True)
class Watch:
    """One subject under one rule, as it stands now: sample and limit in ``unit``, where the limit comes from."""

    rule: RuleId
    subject: str  # node or meter
    title_en: str
    title_zh: str
    condition: Condition
    sample: Sample
    limit: float
    unit: str
    document: str
    timing: Timing
    completeness: float | None = None
    words: str = ""  # of whoever is in trouble

    @property
    def key(self) -> str:
        """Identity of the alert, for example ``meter-silent/pv-1``."""
        return f"{self.rule}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Inactive:
    """A rule that watches nothing, and why."""

    rule: RuleId
    reason_en: str
    reason_zh: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a part of the program says of itself: a store that fails (``amount`` 1 while it does), a broker that dropped
    messages (how many lately), a spool that lost readings (how many spans lately), analytics that left slots as they were
    (how many). ``amount`` 0 is well; None where nothing is known."""

    rule: Literal["store-failing", "broker-dropped", "readings-lost", "corrections-due"]
    subject: str
    amount: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Heard:
    """When a meter was last heard, by our clock: a meter whose clock is off is neither silent nor alive by it. ``heard_ns`` is
    None for one not heard since the start; ``first_look_ns`` is when it was first missed."""

    heard_ns: int | None
    first_look_ns: int


def hear(before: Mapping[str, Heard], site: Site, received_ns: Mapping[str, int], now_ns: int) -> dict[str, Heard]:
    """What has been heard of every meter that owes readings; ``received_ns`` is when the newest reading of a meter came."""
    # a ladle scale speaks when metal is tapped, and a meter of imported history never does
    scales = {line.scale_meter for line in site.potlines.values()}
    owing = [m.id for m in site.meters.values() if m.profile != IMPORTED and m.id not in scales]
    return {m: Heard(received_ns.get(m), before[m].first_look_ns if m in before else now_ns) for m in owing}


def watches(
    site: Site,
    rulebook: Rulebook,
    last_24h: Figures,
    heard: Mapping[str, Heard],
    now_ns: int,
    sessions_lost_s: Mapping[str, float] | None = None,
    troubles: Sequence[Trouble] = (),
    tariff: Figures | None = None,
) -> tuple[list[Watch], list[Inactive]]:
    """Everything to look at now, and the rules that have nothing to look at.

    ``last_24h`` are figures by node and indicator; a figure that is absent is unknown. A rule that cannot be judged at all
    is inactive and keeps no other from being judged. ``sessions_lost_s`` is, by broker, how long the span is in which
    messages went to a session that the broker forgot, 0 where it forgot none. ``tariff`` are the figures of the year's tariff
    study, None as long as it was not asked.
    """
    found: list[Watch] = []
    inactive: list[Inactive] = []
    try:
        e1 = [
            item
            for pair in ((E1, "benchmark"), (E1_BASELINE, "baseline"))
            for item in _e1(site, rulebook, last_24h, now_ns, *pair)
        ]
    except IncomparableError as error:
        e1 = [Inactive(E1, str(error), f"限值与指标不符:{error}")]
    year = _tariff(site, rulebook, tariff, now_ns)
    lost = _sessions(site, sessions_lost_s or {})
    for item in (*e1, *_green_share(site, last_24h), *_silent(site, heard, now_ns), *lost, *year):
        if isinstance(item, Watch):
            found.append(item)
        else:
            inactive.append(item)
    found += [_troubled(site, trouble) for trouble in troubles]
    return found, inactive


def _e1(
    site: Site,
    rulebook: Rulebook,
    figures: Figures,
    now_ns: int,
    name: Literal["e1-over-benchmark", "e1-over-baseline"],
    level: str,
) -> Iterator[Watch | Inactive]:
    indicator = "specific_energy_e1"
    today = site.calendar.local(now_ns).date()
    rule = rulebook.in_force(level, today, (site.province, "CN"))
    if rule is None:
        word = {"benchmark": "标杆", "baseline": "基准"}[level]
        yield Inactive(name, f"no {level} is in force on {today}", f"{today} 无有效的能效{word}值")
        return
    if not rule.holds_for(WINDOW):
        yield Inactive(name, f"{rule.edition} limits a {rule.period}, not 24 h", f"{rule.edition} 不适用于 24 小时")
        return
    settings = site.alerts
    limit = float(rule.value)
    threshold = Threshold("above", limit, limit - settings.e1_clear_margin_kwh_per_t)
    timing = Timing(settings.e1_for_s, settings.clear_for_s, settings.remind_after_s)
    for line in site.potlines.values():
        node = nodes.line(line.id)
        figure = figures.get(node, {}).get(indicator)
        sample = _sample(figure)
        condition = _against(rule, indicator, sample, threshold)
        yield Watch(
            name,
            node,
            line.title_en,
            line.title_zh,
            condition,
            sample,
            limit,
            INDICATORS[indicator].unit,
            f"{rule.document} ({rule.edition})",
            timing,
            figure.completeness if figure else None,
        )


def _against(rule: Rule, indicator: str, sample: Sample, threshold: Threshold) -> Condition:
    # the rulebook alone says whether a limit is broken, and refuses one that names another indicator
    verdict = status(rule, indicator, WINDOW, sample.value, sample.low, sample.high)
    return Condition.BREACHED if verdict in (EXCEEDED, MISSED) else threshold.judge(sample)


def _green_share(site: Site, figures: Figures) -> Iterator[Watch | Inactive]:
    indicator = "green_share_physical"
    target = site.accounting.green_share_target_percent
    if target is None:
        yield Inactive(
            GREEN_SHARE,
            "the site file sets no accounting.green_share_target_percent",
            "站点文件未设置 accounting.green_share_target_percent",
        )
        return
    settings = site.alerts
    threshold = Threshold("below", target, min(target + settings.green_share_clear_margin_percent, 100.0))
    figure = figures.get(nodes.PLANT, {}).get(indicator)
    sample = _sample(figure)
    yield Watch(
        GREEN_SHARE,
        nodes.PLANT,
        site.title_en,
        site.title_zh,
        threshold.judge(sample),
        sample,
        target,
        INDICATORS[indicator].unit,
        f"accounting.green_share_target_percent (site@{site.edition})",
        Timing(settings.green_share_for_s, settings.clear_for_s, settings.remind_after_s),
        figure.completeness if figure else None,
    )


def _tariff(site: Site, rulebook: Rulebook, figures: Figures | None, now_ns: int) -> Iterator[Watch | Inactive]:
    """The projected year of each assessed unit against the threshold of the tiered price."""
    if not site.potlines:
        return
    end = date(site.calendar.local(now_ns).year, 12, 31)
    rule = rulebook.in_force("tariff-threshold", end, (site.province, "CN"))
    if rule is None:
        yield Inactive(TARIFF, f"no tariff threshold is in force on {end}", f"{end} 无有效的阶梯电价门槛")
        return
    limit = float(rule.value)
    lines = {nodes.line(line.id): (line.title_en, line.title_zh) for line in site.potlines.values()}
    by_line = site.tariff.assessed(end).unit == "line"
    for node, (title_en, title_zh) in (lines if by_line else {nodes.PLANT: (site.title_en, site.title_zh)}).items():
        known = (figures or {}).get(node, {})
        figure, surcharge = known.get("specific_energy_projected"), known.get("tariff_surcharge_year")
        sample = _sample(figure)
        yield Watch(
            TARIFF,
            node,
            title_en,
            title_zh,
            # before the first answer there is no reason to raise, and none to end an alert raised before
            Condition.BETWEEN if figures is None else Threshold("above", limit, limit).judge(sample),
            sample,
            limit,
            rule.unit,
            f"{rule.document} ({rule.edition})",
            Timing(0.0, site.alerts.clear_for_s, TARIFF_REMIND_S),
            figure.completeness if figure else None,
            _yuan(surcharge),
        )


def _yuan(figure: Figure | None) -> str:
    if figure is None or figure.value is None or figure.low is None or figure.high is None:
        return ""
    return f"{figure.value:,.0f} ({figure.low:,.0f} - {figure.high:,.0f})"


def _silent(site: Site, heard: Mapping[str, Heard], now_ns: int) -> Iterator[Watch]:
    for name, last in heard.items():
        meter = site.meters[name]
        condition, sample = _silence(last, meter.silent_after_s, now_ns)
        yield Watch(
            SILENT,
            name,
            meter.title_en,
            meter.title_zh,
            condition,
            sample,
            meter.silent_after_s,
            "s",
            f"meter[{name}].silent_after_s (site@{site.edition})",
            # a meter that speaks again is back at once: waiting would only keep a false alarm up
            Timing(site.alerts.silent_for_s, 0.0, site.alerts.remind_after_s),
        )


def _sessions(site: Site, lost_s: Mapping[str, float]) -> Iterator[Watch]:
    for broker, span_s in lost_s.items():
        yield Watch(
            SESSION,
            broker,
            f"broker {broker}",
            f"消息服务器 {broker}",
            Condition.BREACHED if span_s > 0 else Condition.CLEAR,
            Sample(span_s, span_s, span_s),
            0.0,
            "s",
            f"endpoint[{broker}] (site@{site.edition})",
            Timing(0.0, 0.0, site.alerts.remind_after_s),
        )


def _troubled(site: Site, trouble: Trouble) -> Watch:
    amount = trouble.amount
    timing = Timing(STORE_FOR_S if trouble.rule == STORE else 0.0, 0.0, site.alerts.remind_after_s)
    title_en, title_zh, key = {
        STORE: _store_titles(trouble.subject),
        DROPPED: (f"broker {trouble.subject}", f"消息服务器 {trouble.subject}", f"endpoint[{trouble.subject}]"),
        LOST: ("files of closed days", "历史日数据文件", "store") if trouble.subject == FILES else ("spool", "本地缓冲", "spool"),
        CORRECTIONS: (site.title_en, site.title_zh, "store.raw_days"),
    }[trouble.rule]
    return Watch(
        trouble.rule,
        trouble.subject,
        title_en,
        title_zh,
        # what is not known is no reason to raise, and no sign that could end an alert raised before
        Condition.BETWEEN if amount is None else Condition.BREACHED if amount > 0 else Condition.CLEAR,
        Sample(amount, amount, amount),
        0.0,
        "",
        f"{key} (site@{site.edition})",
        timing,
        words=trouble.words,
    )


def _store_titles(sink: str) -> tuple[str, str, str]:
    if sink == MAIN_SINK:
        return "store", "数据库", "store"
    mirror = sink.removeprefix("mirror-")
    return f"mirror {mirror}", f"镜像数据库 {mirror}", f"mirror[{mirror}]"


def _silence(last: Heard, silent_after_s: float, now_ns: int) -> tuple[Condition, Sample]:
    since_ns = last.first_look_ns if last.heard_ns is None else last.heard_ns
    age_s = max(now_ns - since_ns, 0) / S_TO_NS
    if last.heard_ns is None and age_s <= silent_after_s:
        # just started: no reason to raise, and no sign of life that could end an alert raised before
        return Condition.BETWEEN, _NOT_TOLD
    sample = Sample(age_s, age_s, age_s)
    return Threshold("above", silent_after_s, silent_after_s).judge(sample), sample


def _sample(figure: Figure | None) -> Sample:
    return _NOT_TOLD if figure is None else Sample(figure.value, figure.low, figure.high)
