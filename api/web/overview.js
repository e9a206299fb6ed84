// The month and the year at a glance: groups of figures, each opening to what it rests on. Titles, reasons and boundaries come in
// both languages from the service; this file only draws them.
import { NONE, percent, quantity } from "./format.js";
import { currentLanguage, t } from "./i18n.js";

const GOOD = new Set(["met", "1"]), BAD = new Set(["exceeded", "missed"]);
const open = new Set(); // rows that the reader has opened stay open when figures change

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// steps, certificates and events are counted: no decimals and no unit
const unitOf = (row) => (/_(steps|count)$/.test(row.name) ? "whole" : row.unit);
const said = (both) => both?.[currentLanguage()] ?? "";

export function showOverview(element, hint, overview) {
  if (!overview) return;
  hint.textContent = t("overview_hint", { month: overview.month, year: overview.year });
  const groups = overview.groups.filter((group) => group.rows.length || group.words.length);
  element.replaceChildren(...groups.map(groupBlock));
}

function groupBlock(group) {
  const block = make("section", "group");
  block.dataset.group = group.id;
  block.append(make("h3", "", t(`group_${group.id}`)), ...group.rows.map(fact));
  for (const sentence of group.words) {
    const line = make("p", `word ${sentence.mood}`, said(sentence));
    if (sentence.placeholder) line.append(" ", chip(t("placeholder"), "placeholder"));
    block.append(line);
  }
  return block;
}

function fact(row) {
  const key = `${row.source}.${row.node}.${row.name}`;
  const item = make("details", "fact");
  item.dataset.fact = key;
  item.open = open.has(key);
  item.addEventListener("toggle", () => (item.open ? open.add(key) : open.delete(key)));
  const head = make("summary");
  head.title = [trust(row), said(row.note)].filter(Boolean).join("\n");
  const name = make("span", "fact-name", said(row.title));
  if (row.where) name.append(make("small", "", ` ${said(row.where)}`));
  if (row.value === null && said(row.note)) name.append(make("small", "why", said(row.note)));
  const numbers = make("span", "fact-value");
  const shown = quantity(row.value, unitOf(row));
  const value = make("b", "", shown.text === NONE && row.low !== null ? band(row) : shown.text === NONE ? NONE : `${shown.text} ${shown.unit}`.trim());
  value.dataset.value = row.value ?? "";
  numbers.append(value);
  if (row.value !== null && row.low !== null && row.high !== row.low) numbers.append(make("small", "", band(row)));
  head.append(name, numbers, chips(row));
  item.append(head, particulars(row));
  return item;
}

// Both edges in the unit of the larger one, so that they can be read as one span.
function band(row) {
  const low = quantity(row.low, unitOf(row)), high = quantity(row.high, unitOf(row));
  const same = low.unit === high.unit || low.text === NONE || high.text === NONE || row.low === 0;
  return `${low.text}${same ? "" : ` ${low.unit}`} ${t("to")} ${high.text} ${high.unit || low.unit}`.trim();
}

function chip(text, kind) {
  return make("span", `chip ${kind}`, text);
}

function chips(row) {
  const list = make("span", "chips");
  for (const limit of row.limits) {
    const kind = GOOD.has(limit.status) ? "met" : BAD.has(limit.status) ? "exceeded" : limit.status.replaceAll(" ", "-");
    const mark = chip(`${said(limit.title)} ${said(limit.word)}`, kind);
    list.append(mark);
    if (limit.placeholder) list.append(chip(t("placeholder"), "placeholder"));
  }
  if (row.placeholders.length) list.append(chip(t("placeholder"), "placeholder"));
  return list;
}

function trust(row) {
  return `${t("completeness")} ${percent(row.completeness)} · ${t("measured")} ${percent(row.measured_share)}`;
}

function particulars(row) {
  const box = make("div", "particulars");
  const lines = [said(row.note), `${t(`period_${row.period}`)} · ${trust(row)}`, said(row.boundary)];
  for (const limit of row.limits) {
    const value = limit.value === null ? "" : ` ${quantity(limit.value, limit.unit).text} ${limit.unit}`;
    lines.push([`${said(limit.title)}${value}`, limit.document, limit.placeholder ? t("placeholder") : ""].filter(Boolean).join(" · "));
  }
  if (row.placeholders.length) lines.push(`${t("placeholder")}: ${row.placeholders.join(", ")}`);
  box.append(...lines.filter(Boolean).map((text) => make("p", "", text)));
  if (row.source === "month") {
    const origin = make("button", "origin", t("origin"));
    origin.type = "button";
    origin.dataset.figure = `${row.node}.${row.indicator}.month`;
    box.append(origin);
  }
  return box;
}
