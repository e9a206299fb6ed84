"""A report as one flat table: the rows that every format shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from api.render.sections import SECTIONS, place_of
from plant import nodes
from plant.indicators import INDICATORS, Figure

Lang = Literal["en", "zh"]
Cell = str | float | int | None

COLUMNS: Mapping[Lang, tuple[str, ...]] = {
    "en": (
        "Period",
        "Where",
        "Figure",
        "Value",
        "Low",
        "High",
        "Unit",
        "Completeness %",
        "Measured share %",
        "Status",
        "Boundary",
        "Note",
    ),
    "zh": ("期间", "对象", "指标", "数值", "下限", "上限", "单位", "数据完整率 %", "实测占比 %", "判定", "统计边界", "说明"),
}
NUMERIC = (3, 4, 5, 7, 8)
_WORDS: Mapping[str, str] = {
    "met": "达标",
    "exceeded": "超限",
    "missed": "未达标",
    "not decidable": "无法判定",
    "unknown": "未知",
    "provisional": "暂定",
    "closed": "已结算",
    "live": "实时",
    "day": "日报",
    "month": "月报",
    "year": "年报",
    "target": "本厂目标",
    "e1-grade": "能耗等级",
    "e2-grade": "能耗等级",
    "e3-grade": "能耗等级",
    "e4-grade": "能耗等级",
    "direct-alloying-min": "直接合金化率下限",
    "rectifier-plausible-min": "整流效率合理下限",
    "rectifier-plausible-max": "整流效率合理上限",
    "benchmark": "标杆",
    "baseline": "基准",
    "tariff-threshold": "阶梯电价门槛",
    "pv-feed-in-max": "光伏上网比例上限",
    "pv-self-consumption-min": "光伏自用率下限",
    "direct-self-use-of-generation-min": "直连自用占发电量下限",
    "direct-self-use-of-use-min": "直连自用占用电量下限",
    "statement-difference-max": "计量与结算允许偏差",
    "certificate-quota": "绿电消费比例目标",
    "renewable-share-2030": "2030年可再生电力占比",
    "capacity-at-benchmark": "达标产能比例",
    "frequency-deviation": "频率偏差限值",
    "frequency-deviation-islanded": "孤网频率偏差限值",
    "voltage-unbalance": "电压不平衡度限值",
    "kept": "可达",
    "likely": "很可能达到",
    "unlikely": "不太可能达到",
    "missed as things go": "按现状将不达标",
    "cannot be reached": "无法达到",
    "open": "待定",
    "placeholder": "占位值",
    "within class": "在准确度等级之内",
    "beyond class": "超出准确度等级",
    **{f"voltage-deviation-{rest}": "电压偏差限值" for rest in ("up-20kv", "down-20kv", "up-220v", "down-220v", "35kv")},
    **{f"voltage-thd-{level}": "电压总谐波畸变率限值" for level in ("380v", "10kv", "66kv", "110kv")},
}


_LIMITS: Mapping[str, str] = {
    "target": "plant's own target",
    "e1-grade": "grade by e1",
    "e2-grade": "grade by e2",
    "e3-grade": "grade by e3",
    "e4-grade": "grade by e4",
    "direct-alloying-min": "least direct alloying",
    "rectifier-plausible-min": "least plausible efficiency",
    "rectifier-plausible-max": "greatest plausible efficiency",
    "tariff-threshold": "tariff threshold",
    "pv-feed-in-max": "most feed-in",
    "pv-self-consumption-min": "least self-consumption",
    "direct-self-use-of-generation-min": "least self-use of generation",
    "direct-self-use-of-use-min": "least self-use of use",
    "statement-difference-max": "allowed difference",
    "certificate-quota": "quota",
    "renewable-share-2030": "share of 2030",
    "capacity-at-benchmark": "capacity at benchmark",
    "frequency-deviation": "frequency limit",
    "frequency-deviation-islanded": "frequency limit, islanded",
    "voltage-unbalance": "unbalance limit",
    **{f"voltage-deviation-{rest}": "voltage limit" for rest in ("up-20kv", "down-20kv", "up-220v", "down-220v", "35kv")},
    **{f"voltage-thd-{level}": "THD limit" for level in ("380v", "10kv", "66kv", "110kv")},
}
_REASONS = (
    (re.compile(r"nothing was measured"), "无实测数据"),
    (re.compile(r"no interval was measured whole"), "无完整实测时段"),
    (re.compile(r"without a meter on (.+) its energy cannot be told from loss"), r"\1 未装表,其电量无法与网损区分"),
    (re.compile(r"without a meter on (.+) what the sources gave is not known"), r"\1 未装表,电源电量未知"),
    (re.compile(r"known of (.+) of the intervals, needed of all"), r"仅 \1 的时段有数据,须全部具备"),
    (re.compile(r"contracted energy is provisional in (\d+) of (\d+) intervals"), r"\2 个时段中 \1 个的合同电量为暂估"),
    (re.compile(r"contracted energy is spread evenly over (\d+) of (\d+) intervals"), r"\2 个时段中 \1 个的合同电量为均摊"),
    (re.compile(r"energy by the grid company's statement: (.+)"), r"采用电网结算单:\1"),
    (re.compile(r"energy by our meters: (.+)"), r"采用本厂计量:\1"),
    (re.compile(r"the statement says 0 kWh, our meters (.+) kWh"), r"结算单为 0 kWh,本厂计量 \1 kWh"),
    (re.compile(r"no statement covers all of (.+)"), r"\1 的结算单未覆盖整个周期"),
    (re.compile(r"no target for (\d+) is known"), r"\1 年度目标未知"),
    (re.compile(r"no price of certificates is known"), "绿证价格未知"),
    (re.compile(r"the year so far"), "截至目前"),
    (re.compile(r"no certificate cancelled for (\d+) is in the ledger"), r"台账中没有 \1 年度已核销的绿证"),
    (re.compile(r"taps are known of (.+) of the days"), r"\1 的日期有出铝记录"),
    (
        re.compile(r"weighed metal of (.+) disagrees with the stated efficiency, which stands"),
        r"\1 的称重铝量与设定电流效率不符,仍按设定效率计算",
    ),
    (re.compile(r"measured share (.+) is below (.+)"), r"实测占比 \1 低于 \2"),
    (re.compile(r"(\d+) of (\d+) intervals are estimated"), r"\2 个时段中 \1 个为估算值"),
    (re.compile(r"anodes as booked: anode_net"), "阳极按台账净耗"),
    (re.compile(r"anodes as booked: anode_net, by default from (.+) on"), r"阳极按台账净耗,\1 起按缺省"),
    (re.compile(r"anodes as booked: anode_gross, by default from (.+) on"), r"阳极按台账毛耗,\1 起按缺省"),
    (re.compile(r"anodes as booked: anode_gross"), "阳极按台账毛耗"),
    (re.compile(r"anodes by default consumption"), "阳极按缺省消耗"),
    (re.compile(r"method set (\S+)"), r"方法集 \1"),
    (
        re.compile(r"method set (\S+), default for (.+) for (.+) of the time without a record of anode effects"),
        r"方法集 \1,\2 有 \3 的时间无阳极效应记录,该部分按缺省值",
    ),
    (
        re.compile(r"method set (\S+), default for (.+) without a record of anode effects"),
        r"方法集 \1,\2 无阳极效应记录,按缺省值",
    ),
    (re.compile(r"no contract energy is settled"), "无已结算合同电量,按零计"),
    (re.compile(r"no anode effect is recorded"), "无阳极效应记录"),
    (re.compile(r"anode effects are known of (.+) of the time"), r"仅 \1 的时间有阳极效应记录"),
    (re.compile(r"anode effects of (.+) are not recorded"), r"\1 未记录阳极效应"),
    (re.compile(r"no pot was running"), "无运行槽"),
    (re.compile(r"energy of starting pots is in it"), "含启动槽电量"),
    (re.compile(r"pots are (.+) and \[process\] states no voltage for them"), r"有槽处于 \1 状态,[process] 未设其电压"),
    (re.compile(r"(.+) kWh of starting pots are taken off"), r"已扣除启动槽电量 \1 kWh"),
    (re.compile(r"e1 of (.+) is not decided against the benchmark"), r"\1 的e1无法与标杆判定"),
    (re.compile(r"no tap is weighed"), "无出铝称重"),
    (re.compile(r"metal charged as tapped"), "入炉铝液按出铝量"),
    (re.compile(r"metal charged as tapped, less what was alloyed directly"), "入炉铝液按出铝量扣除直接合金化量"),
    (re.compile(r"metal charged is booked for (.+) of the time"), r"入炉铝液台账仅覆盖 \1 的时间"),
    (re.compile(r"alloyed metal is booked for (.+) of the time"), r"直接合金化台账仅覆盖 \1 的时间"),
    (re.compile(r"ingots are booked for (.+) of the time"), r"铝锭台账仅覆盖 \1 的时间"),
    (re.compile(r"fuel is booked for (.+) of the time"), r"燃料台账仅覆盖 \1 的时间"),
    (re.compile(r"until (.+), when ingots end"), r"截至 \1(铝锭台账止)"),
    (
        re.compile(r"(.+) t of molten metal against (.+) t of ingots without cold metal: more than (.+) apart"),
        r"入炉铝液 \1 吨与不含冷料铝锭 \2 吨相差超过 \3",
    ),
    (re.compile(r"no coal factor is in force"), "无有效的折标煤系数"),
    (re.compile(r"no (\S+) of (\S+) is in force, the nation's stands in"), r"\2 无有效的 \1,采用全国值"),
    (re.compile(r"no rule (.+) is in force"), r"无有效规则 \1"),
    (
        re.compile(r"no balance value of the year is set \(\[carbon\] ets_balance\)"),
        "未设本年行业平衡值([carbon] ets_balance)",
    ),
    (re.compile(r"emissions or metal are not known"), "排放量或产铝量未知"),
    (re.compile(r"emissions verified"), "排放量已核查"),
    (re.compile(r"emissions reckoned, not verified"), "排放量为核算值,未经核查"),
    (re.compile(r"the non-hydro share of the year is not known, no discount is counted"), "本年非水可再生电力占比未知,未计减免"),
    (re.compile(r"no rule non-hydro-incentive for the year before, no discount is counted"), "缺少上年度非水激励权重,未计减免"),
    (re.compile(r"no rules of the tiered price are in force for (\d+)"), r"\1 年无有效的阶梯电价规则"),
    (re.compile(r"ran (.+) h of the (.+) h from which it is assessed"), r"运行 \1 小时,不足考核所需的 \2 小时"),
    (re.compile(r"nothing measured in the year so far"), "本年尚无实测数据"),
    (re.compile(r"no lower step"), "已无更低档"),
    (re.compile(r"the energy that pays is not known"), "应缴费电量未知"),
    (re.compile(r"the grid's part of the supply is not known"), "电网供电占比未知"),
    (re.compile(r"overdue: notified (\S+), not paid within (\d+) days, times (\S+)"), r"逾期:\1 通知,\2 天内未缴,按 \3 倍计"),
    (re.compile(r"what the rest of the year brings is not known"), "本年剩余时间无法预计"),
    (re.compile(r"the rest of the year as the last (\d+) days known, until (\S+)"), r"本年剩余时间按已知的最后 \1 天(至 \2)外推"),
    (re.compile(r"the rest of the year as (.+)"), r"本年剩余时间按 \1 外推"),
    (re.compile(r"(\S+) yuan of it are of (\d+)"), r"其中 \2 年度 \1 元"),
    (re.compile(r"(\d+) of (\d+) quarters of an hour have no price"), r"\2 个刻钟时段中 \1 个无电价"),
    (re.compile(r"reactive energy is known of (.+) of the intervals"), r"仅 \1 的时段有无功电量"),
    (re.compile(r"no reactive energy is measured"), "未测量无功电量"),
    (re.compile(r"the largest of (\d+) of (\d+) quarters of an hour"), r"\2 个刻钟时段中 \1 个的最大值"),
    (re.compile(r"no reading of it in the period"), "期间内无该量读数"),
    (re.compile(r"(\d+) of (\d+) intervals have (?:no reading|too few readings)"), r"\2 个时段中 \1 个读数不足"),
    (re.compile(r"the period is settled to its end"), "本期已全部结算"),
    (re.compile(r"the days before the period are not settled yet"), "本期之前的日期尚未结算"),
    (re.compile(r"too little light"), "光照不足"),
    (re.compile(r"certificates still to be cancelled are not projected"), "尚待核销的绿证无法预测"),
    (
        re.compile(r"(\d+) of (\d+) points of the period are measured well enough, (.+) are needed"),
        r"本期 \2 个数据点中 \1 个实测充分,至少需要 \3",
    ),
    (re.compile(r"fewer than (\d+) peers have readings"), r"有读数的同类不足 \1 个"),
    (re.compile(r"no limit of it is in force"), "无有效限值"),
    (re.compile(r"(\d+) days are known, (\d+) are needed for an outlook"), r"已知 \1 天数据,展望至少需要 \2 天"),
    (re.compile(r"too little of the settled part was measured"), "已结算部分实测不足"),
    (
        re.compile(r"\[outlook\] names no place: the sun is not known more than (\d+) days ahead"),
        r"[outlook] 未设厂址:\1 天以后的日照无法预计",
    ),
    (re.compile(r"too few of the past days were measured whole"), "完整实测的日数不足"),
    (re.compile(r"the reference has (\d+) points, (\d+) are needed"), r"基准期有 \1 个数据点,至少需要 \2 个"),
    (re.compile(r"a relevant variable stands still or follows from the others"), "相关变量不变化或彼此线性相关"),
    (re.compile(r"R2 (.+) of the baseline is below (.+)"), r"基准回归R2为 \1,低于 \2"),
    (re.compile(r"the baseline may be chance: p (.+) is above (.+)"), r"基准回归不显著:p值 \1 高于 \2"),
    (re.compile(r"nothing shows that energy depends on (.+)"), r"未发现能耗与 \1 显著相关"),
    (re.compile(r"no whole (?:day|month) of the period is measured well enough"), "本期无充分实测的完整日或月"),
    (re.compile(r"(\d+) of (\d+) points lie beyond the range of the baseline"), r"\2 个数据点中 \1 个超出基准范围"),
    (re.compile(r"(\d+) intervals were measured, (\d+) are needed to compare meters"), r"实测 \1 个时段,电表比对至少需要 \2 个"),
    (re.compile(r"too little light"), "日照不足"),
    (re.compile(r"fewer than (\d+) peers have readings"), r"有读数的同类设备少于 \1 台"),
    (re.compile(r"no potline"), "无电解系列"),
    (re.compile(r"(\d+) of (\d+) months could not say"), r"\2 个月中有 \1 个月无此数值"),
    (re.compile(r"placeholder: (.+)"), r"占位值:\1"),
    (re.compile(r"no interval with energy and sun is known"), "无同时具有电量与日照数据的时段"),
)
_BOUNDARIES: Mapping[str, str] = {
    "": "",
    "potline DC busbar": "电解系列直流母线",
    "rectifier units, network side, metal produced": "整流机组网侧,产铝量",
    "rectifiers + auxiliaries to tapping + share of line loss, metal produced": "整流机组、出铝前辅助用电及线损分摊,产铝量",
    "e2 less desulphurisation, metal produced": "e2扣除脱硫,产铝量",
    "on-site renewable energy attributed to load, of load": "归属于负荷的现场可再生电量占用电量",
    "certificates valid and cancelled for the year, of total power use": "当年有效且已核销的绿证占总用电量",
    "(generation - export) of generation": "(发电量 - 上网电量)占发电量",
    "export of renewable energy, of generation": "可再生上网电量占发电量",
    "metal produced of Faraday's law at 100 %": "产铝量占法拉第理论产量",
    "DC energy of AC energy": "直流电量占交流电量",
    "molten metal": "铝液",
    "molten metal, weighed": "铝液,称重",
    "sources - charge - export; losses on site are in it": "电源 - 充电 - 上网,含厂内损耗",
    "all ties": "全部联络线",
    "generator terminals": "发电机端",
    "storage terminals": "储能并网点",
    "attributed": "按归属",
    "network side": "网侧",
    "sources - metered sinks of a bus section": "母线段电源 - 实测负荷",
    "load of the sources' side less what metered branches take": "电源侧用电量 - 各计量支路用电量",
    "network loss of import, generation and discharge": "网损占下网、发电及放电电量",
    "on site and matched contracts, interval by interval, of load": "现场及合同逐时段匹配绿电占用电量",
    "matched contracted energy alone, of load": "仅合同绿电匹配电量占用电量",
    "on site, matched contracts, carbon-free part of other grid energy, of load": "现场、合同匹配及其余网电无碳部分占用电量",
    "on site, contracts up to grid energy to load, by whole period, of load": "现场及合同绿电(按整个周期封顶)占用电量",
    "non-hydro renewable energy to load, on site and contracted, of load": "现场与合同非水可再生供负荷电量占用电量",
    "target of total power use less cancelled certificates; below 0 = surplus": "目标电量减已核销绿证;小于0为盈余",
    "whole certificates of 1 MWh that close the gap": "补足缺口所需整张绿证(1兆瓦时)",
    "certificates to buy at the price in force": "需购绿证按现行价格",
    "direct line, load and charge, of what its generators delivered": "直连线路供负荷与充电电量占其发电量",
    "direct line, load and charge, of load and battery loss": "直连线路供负荷与充电电量占用电量(含储能损耗)",
    "attributed, all ties": "按归属,全部联络线",
    "settled energy of all contracts": "全部合同结算电量",
    "no more than the grid energy to load, interval by interval": "逐时段不超过网电供负荷",
    "our meters or the grid company's statement, as set for the tie": "按各联络线设定采用本厂计量或电网结算单",
    "size of our sum - statement, of the statement, over its span": "计量与结算单之差的绝对值占结算单,按结算区间",
    "net anode carbon": "阳极净耗碳",
    "recorded anode effects; what leaks at low voltage is not in it": "有记录的阳极效应,不含低电压排放",
    "anodes and anode effects; fuels and captive generation are not in it": "阳极消耗与阳极效应,不含燃料及自备发电",
    "anodes and anode effects, metal produced": "阳极消耗与阳极效应,产铝量",
    "electricity bought from the grid; captive generation is not in it": "外购网电,不含自备发电",
    "electricity bought from the grid; captive generation is not in it; metal produced": "外购网电,不含自备发电;产铝量",
    "direct emissions alone; below 0: to be bought": "全国碳市场:仅直接排放,不含外购电力;负值为需购配额",
    "at the closing price of the rule; below 0 a cost": "按规则所列收盘价;负值为成本",
    "e2 of the molten metal charged + casthouse, ingots without cold metal": "入炉铝液综合电量加铸造用电,铝锭量不含冷料",
    "electricity of e3 and fuels as standard coal, ingots without cold metal": "铝锭电量及燃料折标准煤,铝锭量不含冷料",
    "casthouse branches": "铸造车间支路",
    "weighed, cold metal included": "称重,含冷料",
    "not of the pots": "非本厂电解铝液",
    "molten metal alloyed without remelting, of molten metal": "未经重熔直接合金化的铝液占铝液总量",
    "DC energy over ampere-hours and pots running, busbars and effects in it": "直流电量除以安时与运行槽数,含母线压降与效应",
    "mean of the pots in service as the controllers tell it": "槽控机所报在运槽平均值",
    "at the period's rectifier and current efficiency": "按本期整流效率与电流效率",
    "effects that begin in the period, pots running": "本期开始的效应,运行槽",
    "pots in series and producing": "串联且产铝的槽",
    "ampere-hours x pots in that state x its stated voltage": "安时 × 该状态槽数 × 设定电压",
    "DC energy of AC energy of one group: beyond this a ratio is wrong": "单机组直流电量占交流电量,超出范围说明变比有误",
    "DC energy, at the period's current efficiency": "直流电量,按本期电流效率",
    "DC energy, at the period's pot voltage": "直流电量,按本期槽电压",
    "licensed capacity of lines whose e1 meets the benchmark": "e1达到标杆的电解系列核定产能",
    "settled part + expected rest, 80 % band of the settled figure, without errors of meters": "期末预计,80 %区间,不含计量误差",
    "relevant variables of the same points, regression over the reference span": "同期相关变量,按基准期回归",
    "calendar year of the assessed unit": "考核单元,自然年",
    "calendar year to date of the assessed unit": "考核单元,自然年累计",
    "period asked for, assessed unit": "考核单元,所查期间",
    "rest of the calendar year, assessed unit": "考核单元,本年剩余时间",
    "grid import by clock bands in the plant's zone": "按厂区时间分时段的下网电量",
    "import that on-site supply spared, at the price of its quarter of an hour": "现场供电所替代的下网电量,按所在时段电价",
    "grid tie, clock quarters of an hour": "联络线,整刻钟时段",
    "grid tie, active and reactive energy": "联络线,有功与无功电量",
    "PV field, generator terminals, irradiance in the plane of the modules": "光伏场并网点,组件面辐照度",
    "inverters of the field while the sun shines, by DC capacity": "日照时段场内逆变器,按直流容量加权",
    "strings and inverters of the field that their peers accuse": "与同类相比异常的组串与逆变器",
    "bus section": "母线段",
    "bus section, intervals without the grid": "母线段,孤网时段",
    "bus section, 95 % of the quarter-hour maxima lie below": "母线段,一刻钟最大值的95%概率值",
    "all ties without power, the plant alive": "全部联络线无功率而厂内有供电",
    "licensed capacity of all plants of a province, lines whose e1 meets the benchmark": "全省各厂核定产能,其中e1达到标杆的系列",
    "meters that the balances, rectifier groups and check meters accuse": "母线平衡、整流机组与副表共同指认的电表",
    "what the meter showed less what it should have shown": "电表示值减应有值",
}
Titles = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """``head`` pairs of name and value above the rows; a cell is a number where its column is ``NUMERIC``, or None.
    ``sections`` are titles by the row that each begins with."""

    title: str
    head: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sections: Mapping[int, str] = field(default_factory=dict)


def word(text: str, lang: Lang) -> str:
    """A word of the product in the language asked for."""
    return _WORDS.get(text, text) if lang == "zh" else text


def limit_word(limit: str, lang: Lang) -> str:
    """What a limit is called in the language asked for."""
    return (_WORDS if lang == "zh" else _LIMITS).get(limit, limit)


def figure_rows(
    titles: Titles, label: str, figures: Mapping[str, Mapping[str, Figure]], lang: Lang
) -> tuple[tuple[Cell, ...], ...]:
    """One row a figure of the period ``label``: by section, in it by indicator, the plant first, then lines and other nodes."""
    return tuple((label, *_row(node_title(titles, node, lang), figure, lang)) for node, figure in _in_order([figures]))


def whole_period(
    titles: Titles, label: str, parts: Sequence[Mapping[str, Mapping[str, Figure]]], lang: Lang
) -> tuple[tuple[tuple[Cell, ...], ...], dict[int, str]]:
    """Rows of the figures of a period and of the studies about it, in one order, and the titles of their sections by row."""
    ordered = _in_order(parts)
    sections: dict[int, str] = {}
    for position, (_, figure) in enumerate(ordered):
        section = SECTIONS[place_of(figure.indicator)[0]]
        title = section.zh if lang == "zh" else section.en
        if title not in sections.values():
            sections[position] = title
    return tuple((label, *_row(node_title(titles, node, lang), figure, lang)) for node, figure in ordered), sections


def _in_order(parts: Sequence[Mapping[str, Mapping[str, Figure]]]) -> list[tuple[str, Figure]]:
    found = [(node, figure) for part in parts for node, figures in part.items() for figure in figures.values()]
    return sorted(found, key=lambda pair: (place_of(pair[1].indicator), pair[0] != nodes.PLANT, pair[0]))


def boundary_of(indicator: str, lang: Lang) -> str:
    """What is inside an indicator, in the language asked for."""
    boundary = INDICATORS[indicator].boundary
    return _BOUNDARIES[boundary] if lang == "zh" else boundary


def node_title(titles: Titles, node: str, lang: Lang) -> str:
    """What people call a node: by the names that the report keeps, else its identifier."""
    if node == nodes.PLANT:
        return "全厂" if lang == "zh" else "Whole plant"
    return titles[node][lang] if node in titles else node


def note(reason: str, lang: Lang) -> str:
    """Why a figure is as it is; the service writes it in English, as one or more of the forms of ``_REASONS``."""
    return reason if lang == "en" else ";".join(map(_chinese, reason.split("; ")))


def _chinese(reason: str) -> str:
    found = ((form.fullmatch(reason), text) for form, text in _REASONS)
    return next((match.expand(text) for match, text in found if match), reason)


def _row(where: str, figure: Figure, lang: Lang) -> tuple[Cell, ...]:
    known = INDICATORS[figure.indicator]
    status = "; ".join(f"{limit_word(limit, lang)}: {word(state, lang)}" for limit, state in figure.status.items())
    return (
        where,
        known.zh if lang == "zh" else known.en,
        figure.value,
        figure.low,
        figure.high,
        known.unit,
        100 * figure.completeness,
        100 * figure.measured_share,
        status,
        boundary_of(figure.indicator, lang),
        note(figure.reason, lang),
    )
