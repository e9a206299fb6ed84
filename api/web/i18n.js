// The two languages of the page. Every key stands in both; terms follow GB 21346 and the trade's usage.
const texts = {
  en: {
    skip: "Skip to the figures", other_language: "中文", theme_dark: "Dark", theme_light: "Light",
    green_share_now: "Green share now", load_now: "Load now", e1_plant: "AC energy per tonne, e1, 24 h", metal_24h: "Metal produced, 24 h",
    flow_title: "Power flow now", green_title: "Green share, physical on site", intensity_title: "Energy per tonne against its limits",
    mix_title: "Sources over 48 hours", pv_title: "PV and storage", alerts_title: "Alerts", meters_title: "Meters", parts_title: "System",
    now: "now", last_15min: "15 min", last_24h: "24 h", shift: "shift", production_day: "production day", day: "today", month: "month",
    completeness: "completeness", measured: "measured", waiting: "waiting for data",
    grid: "Grid", captive: "Captive plant", pv: "PV", battery: "Storage", load: "Load", export: "Export",
    charging: "charging", discharging: "discharging", idle: "idle", state_of_charge: "State of charge", charge_power: "Storage power",
    pv_power: "PV power now", pv_24h: "PV generation, 24 h", pv_month: "PV generation, month", self_consumption: "PV self-consumption, month",
    balance: "metered sources less metered sinks: {value}", target: "plant's own target {value} %",
    fume_treatment: "Fume treatment", desulphurisation: "Desulphurisation", compressed_air: "Compressed air", auxiliary: "Potroom auxiliaries",
    casthouse: "Casthouse", carbon_plant: "Carbon plant", other: "Other loads", rectifier: "Rectifiers",
    e1: "AC energy, molten (e1)", e2t: "Comprehensive AC, without desulphurisation (e2′)",
    benchmark: "benchmark", baseline: "baseline", "tariff-threshold": "tariff threshold",
    met: "met", exceeded: "exceeded", missed: "missed", "not decidable": "not decidable", unknown: "unknown",
    no_alerts: "No alert stands.", acknowledge: "Acknowledge", acknowledged: "acknowledged by {who}", since: "since {time}", cannot_judge: "cannot be judged",
    meters_hint: "{ok} of {all} speaking", silent: "silent for {age}", never: "not heard yet", ok: "ok", substituted: "check meter stands in",
    history: "History", history_reading: "reading {value} %", history_computing: "computing {value} %", data_age: "data {age} old", no_data: "no data yet",
    stale: "The live stream has stopped for {age}. The figures below are not current; reconnecting …",
    fault: "A part does not answer: {detail}", degraded: "degraded", down: "down",
    grafana: "Grafana dashboards need the InfluxDB store; this plant keeps its series in the {store} store.",
    report_day: "Report of today", report_month: "Report of the month", report_year: "Report of the year",
    key_wanted: "This plant's data ask for a key", key_send: "Open", unit_age_s: "s", unit_age_min: "min", unit_age_h: "h",
    part_endpoint: "Endpoint", part_broker: "Broker", part_spool: "Spool", part_store: "Store", part_analytics: "Analytics",
    part_alerts: "Alerts", part_notify: "Delivery", part_quarantine: "Quarantine", part_role: "Role", part_metal: "Weighed metal",
    "part_broker-queues": "Queues of broker", part_polling: "Polling", part_claim: "Claim", part_corrections: "Corrections", "part_store-files": "Store files",
    judged_year: "judged by the year", coupler: "Coupler", unmetered: "{count} of {all} branches not metered now", band: "band {low} to {high}",
    overview_title: "Month and year", overview_hint: "{month} so far; tariff and certificates of {year}", to: "to", placeholder: "placeholder",
    group_green: "Green share", group_tonne: "Per tonne", group_tariff: "Electricity price", group_carbon: "Carbon per tonne",
    group_outlook: "Outlook to the end of the month", group_solar: "PV performance", group_supply: "Quality of the supply", group_suspects: "Meters under suspicion",
    origin: "Where it comes from", period_month: "month so far", period_year: "year so far",
  },
  zh: {
    skip: "跳到数据", other_language: "English", theme_dark: "深色", theme_light: "浅色",
    green_share_now: "当前绿电占比", load_now: "当前用电负荷", e1_plant: "铝液交流电耗（24 小时）", metal_24h: "产铝量（24 小时）",
    flow_title: "实时功率流向", green_title: "绿电占比（现场物理口径）", intensity_title: "吨铝电耗与限额对比",
    mix_title: "近 48 小时电源构成", pv_title: "光伏与储能", alerts_title: "告警", meters_title: "计量表计", parts_title: "系统状态",
    now: "当前", last_15min: "15 分钟", last_24h: "24 小时", shift: "本班", production_day: "生产日", day: "今日", month: "本月",
    completeness: "数据完整率", measured: "实测占比", waiting: "等待数据",
    grid: "下网", captive: "自备电厂", pv: "光伏", battery: "储能", load: "用电负荷", export: "上网",
    charging: "充电", discharging: "放电", idle: "待机", state_of_charge: "荷电状态", charge_power: "储能功率",
    pv_power: "光伏当前功率", pv_24h: "光伏发电量（24 小时）", pv_month: "光伏发电量（本月）", self_consumption: "光伏自用率（本月）",
    balance: "实测电源减实测负荷：{value}", target: "本厂目标 {value} %",
    fume_treatment: "烟气净化", desulphurisation: "脱硫", compressed_air: "空压站", auxiliary: "电解动力照明",
    casthouse: "铸造", carbon_plant: "炭素", other: "其他负荷", rectifier: "整流机组",
    e1: "铝液交流电耗 e1", e2t: "铝液综合交流电耗（不含脱硫）e2′",
    benchmark: "标杆", baseline: "基准", "tariff-threshold": "阶梯电价门槛",
    met: "达标", exceeded: "超限", missed: "未达标", "not decidable": "无法判定", unknown: "未知",
    no_alerts: "当前无告警。", acknowledge: "确认", acknowledged: "{who} 已确认", since: "自 {time}", cannot_judge: "无法判定",
    meters_hint: "{all} 块表中 {ok} 块在线", silent: "已静默 {age}", never: "尚无数据", ok: "正常", substituted: "副表替代",
    history: "历史数据补算", history_reading: "读取 {value} %", history_computing: "计算 {value} %", data_age: "数据时延 {age}", no_data: "尚无数据",
    stale: "实时数据已中断 {age}，以下数值不是当前值；正在重新连接……",
    fault: "有部件无响应：{detail}", degraded: "降级", down: "故障",
    grafana: "Grafana 看板需要 InfluxDB 存储；本厂时序数据保存在 {store} 存储中。",
    report_day: "今日报告", report_month: "本月报告", report_year: "本年报告",
    key_wanted: "查看本厂数据需要访问密钥", key_send: "进入", unit_age_s: "秒", unit_age_min: "分钟", unit_age_h: "小时",
    part_endpoint: "通信端口", part_broker: "消息代理", part_spool: "本地缓存", part_store: "时序库", part_analytics: "计算",
    part_alerts: "告警", part_notify: "告警投递", part_quarantine: "隔离区", part_role: "角色", part_metal: "称重核对",
    "part_broker-queues": "消息代理队列", part_polling: "轮询", part_claim: "端口占用", part_corrections: "待更正", "part_store-files": "时序库文件",
    judged_year: "按年度考核", coupler: "母联", unmetered: "{all} 条支路中 {count} 条当前无计量", band: "区间 {low} 至 {high}",
    overview_title: "本月与本年", overview_hint: "{month} 截至目前；电价与绿证按 {year} 年", to: "至", placeholder: "占位值",
    group_green: "绿电占比", group_tonne: "吨铝指标", group_tariff: "电价", group_carbon: "吨铝碳排放",
    group_outlook: "月末预计", group_solar: "光伏性能", group_supply: "电能质量", group_suspects: "可疑表计",
    origin: "数据来源与计算", period_month: "本月截至目前", period_year: "本年截至目前",
  },
};

// why a figure is null comes from the service in English, in one of these forms
const reasons = {
  zh: [
    [/^nothing was measured$/, "无实测数据"],
    [/^no interval was measured whole$/, "无完整实测时段"],
    [/^no certificate cancelled for (\d+) is in the ledger$/, "台账中没有 $1 年度已核销的绿证"],
    [/^taps are known of (.+) of the days$/, "$1 的日期有出铝记录"],
    [/^weighed metal of (.+) disagrees with the stated efficiency, which stands$/, "$1 的称重铝量与设定电流效率不符,仍按设定效率计算"],
    [/^measured share (.+) is below (.+)$/, "实测占比 $1 低于 $2"],
    [/^(\d+) of (\d+) intervals are estimated$/, "$2 个时段中 $1 个为估算值"],
  ],
};

const asked = new URLSearchParams(location.search).get("lang");
const kept = localStorage.getItem("potwatt-language");
let language = [asked, kept, navigator.language.slice(0, 2)].find((name) => name in texts) || "en";

export const currentLanguage = () => language;

export function setLanguage(name) {
  language = name;
  localStorage.setItem("potwatt-language", name);
  applyLanguage();
}

export function t(key, values = {}) {
  const text = texts[language][key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function reason(text) {
  const forms = reasons[language];
  if (!forms) return text;
  return text.split("; ").map((one) => one.replace(...(forms.find(([form]) => form.test(one)) || ["", ""]))).join(";");
}

// units that are words; symbols stand in both languages as they are
const units = { zh: { "million yuan": "百万元", yuan: "元", "yuan/kWh": "元/kWh", min: "分钟" } };

export const unitName = (unit) => (unit === "1" || unit === "whole" ? "" : units[language]?.[unit] ?? unit);
export const known = (key) => key in texts[language];
export const title = (titles) => titles[language] || titles.en;

export function applyLanguage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  const button = document.getElementById("language");
  button.textContent = t("other_language");
  button.lang = language === "zh" ? "en" : "zh-CN";
}
