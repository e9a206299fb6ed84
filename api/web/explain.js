// What a figure rests on: a click opens the tree below it, formula first, down to meters, gaps, documents, rules, settings.
import { NONE, number, percent } from "./format.js";
import { currentLanguage } from "./i18n.js";
import { getJson } from "./stream.js";

const WORDS = {
  en: {
    figure: "Figure", efficiency: "Current efficiency", branch: "Branch", point: "Metering point", meter: "Meter", mounting: "Mounted meter",
    gap: "Not measured", incident: "Found", annotation: "Verdict", ledger: "Documents", entry: "Document", rule: "Rule", setting: "Setting",
    title: "What this figure rests on", close: "Close", waiting: "Working it out …", agrees: "formula worked out again: agrees",
    differs: "formula worked out again: differs", placeholder: "placeholder", repeated: "see above", intervals: "intervals", further: "further",
    measured: "measured", estimated: "estimated", missing: "missing", class_percent: "class", ratio: "ratio", entries: "documents", until: "to",
  },
  zh: {
    figure: "指标", efficiency: "电流效率", branch: "支路", point: "计量点", meter: "表计", mounting: "安装表计",
    gap: "无实测", incident: "发现", annotation: "判定", ledger: "台账", entry: "单据", rule: "规则", setting: "设置",
    title: "数值的依据", close: "关闭", waiting: "正在查算……", agrees: "按公式复算一致",
    differs: "按公式复算不一致", placeholder: "占位值", repeated: "见上", intervals: "时段", further: "其余",
    measured: "实测占比", estimated: "估算", missing: "缺失", class_percent: "准确度", ratio: "变比", entries: "份单据", until: "至",
    wrap: "寄存器翻转，差值计入", reset: "寄存器归零，差值不计", exchange: "换表", dip: "读数下跌后恢复，已剔除", spike: "读数突增后恢复，已剔除",
    leap: "增量超出可能，差值不计", frozen: "寄存器停走，按功率计", rejected: "读数被判无效", stuck: "停走", bad: "无效", good: "有效",
    wrong_ratio: "变比错误", reversed: "反接",
  },
};
const w = (key) => WORDS[currentLanguage()][key] ?? WORDS.en[key] ?? key;
const OPEN_DEPTH = 2;

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

const shown = (value, unit = "") => (value === null || value === undefined ? NONE : `${typeof value === "number" ? number(value, 4) : value} ${unit}`.trim());

// One line about each kind of cause: what matters for how far to trust it.
const LINES = {
  figure: (c) => [c.title, shown(c.value, c.unit), c.low !== null && c.low !== undefined ? `[${number(c.low, 2)}, ${number(c.high, 2)}]` : "", c.repeated ? `(${w("repeated")})` : "", c.reason],
  efficiency: (c) => [c.name, `${number(c.value_percent, 2)} ± ${number(c.half_width_percent, 2)} %`, c.origin],
  branch: (c) => [c.title?.[currentLanguage()] || c.title || c.name, c.side, c.repeated ? `(${w("repeated")})` : ""],
  point: (c) => [c.name, c.rank, `${w("measured")} ${percent(c.measured_share)}`, intervals(c.intervals), c.repeated ? `(${w("repeated")})` : ""],
  meter: (c) => [c.name, c.serial, c.profile],
  mounting: (c) => [c.name, c.serial, `${w("class_percent")} ${c.class_percent} %`, `${w("ratio")} ${c.ct_ratio * c.vt_ratio}`, c.direction < 0 ? "−" : ""],
  gap: (c) => (c.name === "further" ? [w("further"), c.count] : [local(c.name), w("until"), local(c.end)]),
  incident: (c) => (c.name === "further" ? [w("further"), c.count] : [w(c.name), c.meter, local(c.start), w("until"), local(c.end)]),
  annotation: (c) => [w(c.name), local(c.start), w("until"), local(c.end), c.author, c.cause],
  ledger: (c) => [c.name, `${c.entries} ${w("entries")}`, shown(c.amount, c.unit)],
  entry: (c) => [local(c.start), shown(c.amount, c.unit), c.document, c.who],
  rule: (c) => [c.name, shown(c.value, c.unit), c.edition, c.document, c.placeholder ? `【${w("placeholder")}】` : "", c.missing],
  setting: (c) => [c.name, typeof c.value === "object" && c.value !== null ? JSON.stringify(c.value).slice(0, 120) : shown(c.value)],
};

const local = (text) => (text || "").slice(0, 16).replace("T", " ");

function intervals(counts) {
  if (!counts) return "";
  const parts = ["missing", "estimated"].filter((key) => counts[key]).map((key) => `${w(key)} ${counts[key]}`);
  return [`${counts.all} ${w("intervals")}`, ...parts].join(", ");
}

function drawn(cause, depth) {
  const words = LINES[cause.kind](cause).filter((one) => one !== "" && one !== undefined && one !== null).join(" · ");
  const line = make(cause.causes.length || cause.formula ? "summary" : "p");
  line.append(make("b", w(cause.kind)), ` ${words}`);
  if (line.tagName === "P") return line;
  const block = make("details", "", `cause ${cause.kind}`);
  block.open = depth < OPEN_DEPTH;
  block.append(line);
  if (cause.formula) block.append(make("p", `${cause.formula}${cause.checked ? ` — ${w(cause.checked.agrees ? "agrees" : "differs")}` : ""}`, "meta"));
  if (cause.boundary) block.append(make("p", cause.boundary, "meta"));
  block.append(...cause.causes.map((below) => drawn(below, depth + 1)));
  return block;
}

function dialog() {
  const found = document.getElementById("explain-dialog");
  if (found) return found;
  const made = make("dialog");
  made.id = "explain-dialog";
  document.body.append(made);
  return made;
}

// `path` is node.indicator.window, as figures of the page are named.
export async function showExplanation(base, path, withKey) {
  const [node, indicator, span] = path.split(".");
  const box = dialog();
  const close = make("button", w("close"));
  close.type = "button";
  close.addEventListener("click", () => box.close());
  const body = make("div", w("waiting"), "explanation");
  box.replaceChildren(make("h2", w("title")), body, close);
  if (!box.open) box.showModal();
  try {
    const query = new URLSearchParams({ node, indicator, span, lang: currentLanguage() });
    const answer = await withKey(() => getJson(`${base}/explain?${query}`));
    body.replaceChildren(make("p", `${local(answer.start)} ${w("until")} ${local(answer.end)} UTC · ${answer.interval_hash.slice(0, 12)}`, "meta"), drawn(answer.tree, 0));
  } catch (error) {
    body.textContent = error.message || String(error);
  }
}

// A figure opens its explanation by click or by Enter.
export function explainOnClick(base, withKey) {
  const open = (event) => {
    const figure = event.target.closest?.("[data-figure]");
    if (!figure || (event.type === "keydown" && event.key !== "Enter")) return;
    showExplanation(base(), figure.dataset.figure, withKey);
  };
  document.addEventListener("click", open);
  document.addEventListener("keydown", open);
}
