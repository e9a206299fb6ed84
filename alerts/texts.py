"""What an alert says, in English and Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from alerts.engine import Notice
from alerts.rules import (
    COMPLETENESS,
    CORRECTIONS,
    DROPPED,
    E1,
    E1_BASELINE,
    EFFECTS,
    EFFICIENCY,
    ENDING,
    FILES,
    GAP,
    GREEN_SHARE,
    LOST,
    PV_DROP,
    SESSION,
    SILENT,
    STORE,
    SUPPLY,
    SUSPECT,
    TARIFF,
    Watch,
)
from plant.calendar import PlantCalendar

Language = Literal["en", "zh"]

_KIND = {
    "raised": {"en": "ALERT", "zh": "报警"},
    "reminder": {"en": "STILL ALERT", "zh": "持续报警"},
    "cleared": {"en": "CLEARED", "zh": "恢复"},
    "unknown": {"en": "UNKNOWN", "zh": "无法判断"},
    "known": {"en": "KNOWN AGAIN", "zh": "可判断"},
    "acknowledged": {"en": "ACKNOWLEDGED", "zh": "已确认"},
    "withdrawn": {"en": "WITHDRAWN", "zh": "撤销"},
}
_RULE: Mapping[str, Mapping[Language, str]] = {
    E1: {"en": "AC energy per tonne (e1, last 24 h) over the benchmark", "zh": "近24小时铝液交流电耗(e1)高于标杆值"},
    E1_BASELINE: {"en": "AC energy per tonne (e1, last 24 h) over the baseline", "zh": "近24小时铝液交流电耗(e1)高于基准值"},
    COMPLETENESS: {"en": "readings received of readings due, last 24 h, too few", "zh": "近24小时数据完整率不足"},
    EFFICIENCY: {"en": "current efficiency of the month so far under the least wanted", "zh": "本月截至目前电流效率低于下限"},
    EFFECTS: {
        "en": "anode effect minutes a pot and day (last 24 h) over the plant's limit",
        "zh": "近24小时阳极效应分钟数超过本厂限值",
    },
    ENDING: {"en": "certificates that nobody has used end soon, MWh", "zh": "未使用的绿证即将失效(MWh)"},
    GAP: {"en": "certificates missing to the target of the year, MWh", "zh": "距本年目标尚缺绿证(MWh)"},
    GREEN_SHARE: {
        "en": "physical green share (last 24 h) under the plant's target",
        "zh": "近24小时现场物理绿电占比低于本厂目标",
    },
    SILENT: {"en": "meter silent", "zh": "电表无数据"},
    SESSION: {
        "en": "the broker forgot our session: what was published meanwhile is lost",
        "zh": "消息服务器丢失会话:期间发布的数据已丢失",
    },
    STORE: {
        "en": "the store takes no readings; they wait in the spool",
        "zh": "数据库不接收数据;读数暂存于本地缓冲",
    },
    DROPPED: {
        "en": "the broker dropped messages: readings are lost",
        "zh": "消息服务器丢弃了消息:部分读数已丢失",
    },
    LOST: {
        "en": "readings lost: not every store has them",
        "zh": "读数丢失:并非所有数据库都保有",
    },
    CORRECTIONS: {
        "en": "something came for settled slots after their readings had expired: correct and close the report again",
        "zh": "已结算时段的读数过期后又有迟到数据:须手工更正并重新关账",
    },
    SUPPLY: {
        "en": "quality of the supply outside its limit (last 24 h)",
        "zh": "近24小时电能质量超限",
    },
    SUSPECT: {
        "en": "meter suspected of reading wrong: it disagrees with the others; energy misread yesterday",
        "zh": "电表疑似计量错误:与其他电表不符;昨日误计电量",
    },
    PV_DROP: {
        "en": "PV performance ratio of yesterday below that of the 30 days before, points",
        "zh": "昨日光伏性能比低于前30日(百分点)",
    },
    TARIFF: {
        "en": "energy per tonne of the projected year over the threshold of the tiered price",
        "zh": "全年预计考核电耗高于阶梯电价门槛",
    },
}
_LABEL = {
    "value": {"en": "value", "zh": "当前值"},
    "band": {"en": "band", "zh": "区间"},
    "to": {"en": "to", "zh": "至"},
    "silence": {"en": "no new reading for", "zh": "无新读数时长"},
    "lost": {"en": "messages may be missing for", "zh": "可能缺失数据的时长"},
    "dropped": {"en": "messages dropped", "zh": "丢弃的消息数"},
    "spans": {"en": "losses within a day", "zh": "24小时内丢失次数"},
    "slots": {"en": "15-min slots", "zh": "涉及的15分钟时段数"},
    "surcharge": {"en": "surcharge of the year, yuan", "zh": "全年阶梯电费(元)"},
    "words": {"en": "it says", "zh": "原文"},
    "limit": {"en": "limit", "zh": "限值"},
    "basis": {"en": "after", "zh": "依据"},
    "since": {"en": "since", "zh": "开始时间"},
    "completeness": {"en": "completeness", "zh": "数据完整率"},
    "none": {"en": "cannot be told: too little was measured", "zh": "无法给出:实测数据不足"},
    "withdrawn": {
        "en": "no longer watched: its meter, potline or rule is not in the site file any more",
        "zh": "不再监视:站点文件中已无该表计、系列或规则",
    },
    "by": {"en": "by", "zh": "确认人"},
}
_COUNTED = {STORE: "", DROPPED: "dropped", LOST: "spans", CORRECTIONS: "slots"}  # words and at most a count, no limit
_DECIMALS = {"kWh/t": 0, "%": 2, "Hz": 3, "s": 0, "": 0, "MWh": 0, "kWh": 0, "min/pot-day": 2}


def title(watch: Watch, notice: Notice, language: Language) -> str:
    """One line: what happened, to whom, under which rule."""
    name = watch.title_en if language == "en" else watch.title_zh
    return f"{_KIND[notice.kind][language]}: {name}: {_RULE[watch.rule][language]}"


def body(watch: Watch, notice: Notice, calendar: PlantCalendar, language: Language) -> str:
    """Value, band, limit with its document, since when (plant's zone), completeness; a line each."""
    lines = [*_figures(watch, language)]
    if watch.rule not in _COUNTED:  # these have no limit
        lines += [("limit", _number(watch.limit, watch.unit)), ("basis", watch.document)]
    lines.append(("since", calendar.local(notice.since_ns).isoformat(sep=" ", timespec="seconds")))
    if watch.completeness is not None:
        lines.append(("completeness", f"{100 * watch.completeness:.1f} %"))
    if notice.who:
        lines.append(("by", notice.who))
    return "\n".join(f"{_LABEL[label][language]}: {text}" for label, text in lines)


def withdrawn_title(rule: str, subject: str, language: Language) -> str:
    """One line: an alert has ended because what it watched is gone, so only identifiers are left to name it by."""
    return f"{_KIND['withdrawn'][language]}: {subject}: {_RULE[rule][language] if rule in _RULE else rule}"


def withdrawn_body(language: Language) -> str:
    """Why the alert has ended."""
    return _LABEL["withdrawn"][language]


def _figures(watch: Watch, language: Language) -> list[tuple[str, str]]:
    sample = watch.sample
    if watch.rule in _COUNTED:
        label = "" if watch.subject == FILES else _COUNTED[watch.rule]
        counted = [(label, f"{sample.value:.0f}")] if label and sample.value else []
        return [*counted, ("words", watch.words)]
    if sample.value is None:
        return [("value", _LABEL["none"][language])]
    if watch.rule == SILENT:
        return [("silence", _number(sample.value, watch.unit))]
    if watch.rule == SESSION:
        return [("lost", _number(sample.value, watch.unit))]
    shown = [("value", _number(sample.value, watch.unit))]
    if sample.low is not None and sample.high is not None:
        between = f" {_LABEL['to'][language]} "
        shown.append(("band", between.join(_number(edge, watch.unit) for edge in (sample.low, sample.high))))
    if watch.rule == SUSPECT and watch.words:
        shown.append(("words", watch.words))
    if watch.rule == TARIFF and watch.words:
        shown.append(("surcharge", watch.words))
    return shown


def _number(value: float, unit: str) -> str:
    return f"{value:.{_DECIMALS[unit]}f} {unit}".rstrip()
