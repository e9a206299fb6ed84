// The panels of figures, alerts, meters and parts.
import { drawBullet } from "./bullet.js";
import { detail } from "./details.js";
import { age, clock, NONE, number, percent, quantity } from "./format.js";
import { currentLanguage, known, reason, t, title } from "./i18n.js";

const SUFFIX = { "%": "percent", "kWh/t": "kwh_per_t", kWh: "kwh", t: "t" };
const E1 = "specific_energy_e1", E2T = "specific_energy_e2_tariff";

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

export function figureOf(live, node, indicator, window) {
  const found = live.periods[window]?.figures[node] || {};
  return Object.values(SUFFIX).map((suffix) => found[`${indicator}_${suffix}`]).find(Boolean) || null;
}

function setFigure(element, figure) {
  const shown = figure ? quantity(figure.value, figure.unit) : { text: NONE, unit: "" };
  element.dataset.value = figure && figure.value !== null ? String(figure.value) : "";
  element.replaceChildren(shown.text, make("small", "", shown.text === NONE ? "" : ` ${shown.unit}`));
  element.title = figure?.reason ? reason(figure.reason) : "";
  element.tabIndex = 0; // it opens what it rests on
}

function trust(figure) {
  if (!figure) return t("waiting");
  const why = figure.value === null && figure.reason ? `${reason(figure.reason)} · ` : "";
  return `${why}${t("completeness")} ${percent(figure.completeness)} · ${t("measured")} ${percent(figure.measured_share)}`;
}

// The tiles: every element that names a figure gets its value, every one that names its meta what it rests on.
export function fillFigures(live) {
  for (const element of document.querySelectorAll(".tile [data-figure], .tile [data-meta]")) {
    const path = element.dataset.figure || element.dataset.meta;
    const figure = figureOf(live, ...path.split("."));
    if (element.dataset.figure) setFigure(element, figure);
    else element.textContent = trust(figure);
  }
}

function row(label, path, figure) {
  const line = make("tr");
  line.append(make("th", "", label));
  const value = make("td", "value");
  value.dataset.figure = path;
  setFigure(value, figure);
  line.append(value, make("td", "meta", figure ? percent(figure.completeness) : NONE), make("td", "meta", figure ? percent(figure.measured_share) : NONE));
  return line;
}

function head() {
  const line = make("tr", "head");
  line.append(make("th"), make("th"), make("th", "", t("completeness")), make("th", "", t("measured")));
  return line;
}

export function showGreen(table, live) {
  const windows = ["now", "last_24h", "day", "month"];
  const rows = windows.map((w) => row(t(w), `plant.green_share_physical.${w}.row`, figureOf(live, "plant", "green_share_physical", w)));
  table.replaceChildren(head(), ...rows);
}

export function showIntensity(element, plant, live, window) {
  const nodes = [...plant.potlines.map((p) => [`line:${p.id}`, title(p.title)])];
  if (element.dataset.shape !== nodes.map(([n]) => n).join()) {
    element.dataset.shape = nodes.map(([n]) => n).join();
    element.replaceChildren(...nodes.map(([node]) => lineBlock(node)));
  }
  for (const [node, name] of nodes) {
    element.querySelector(`[data-line="${node}"] h3`).textContent = name;
    for (const [indicator, label, ids] of [[E1, "e1", ["benchmark", "baseline"]], [E2T, "e2t", ["tariff-threshold"]]]) {
      const limits = (plant.limits[indicator] || []).filter((limit) => ids.includes(limit.id));
      showBar(element.querySelector(`[data-bar="${node}.${indicator}"]`), figureOf(live, node, indicator, window), limits, label, `${node}.${indicator}.${window}`);
    }
  }
}

function lineBlock(node) {
  const block = make("div", "line-block");
  block.dataset.line = node;
  block.append(make("h3"));
  for (const indicator of [E1, E2T]) {
    const bar = make("div", "bar");
    bar.dataset.bar = `${node}.${indicator}`;
    const words = make("div", "bar-head");
    words.append(make("span", "bar-name"), make("span", "bar-value"), make("span", "chips"));
    bar.append(words, make("div", "bullet"), make("p", "meta"));
    block.append(bar);
  }
  return block;
}

function showBar(bar, figure, limits, label, path) {
  bar.querySelector(".bar-name").textContent = t(label);
  const value = bar.querySelector(".bar-value");
  value.dataset.figure = path;
  setFigure(value, figure);
  bar.querySelector(".chips").replaceChildren(...limits.filter(() => figure).map((limit) => {
    const status = figure.status[limit.id]; // none where the limit is on another period, as the tariff's is on the year
    const chip = make("span", `chip ${(status || "").replaceAll(" ", "-")}`, `${t(limit.id)} ${status ? t(status) : t("judged_year")}`);
    chip.title = limit.document;
    return chip;
  }));
  const bullet = bar.querySelector(".bullet");
  bullet.dataset.label = `${t(label)} ${value.textContent}`;
  drawBullet(bullet, figure || {}, limits);
  const band = figure && figure.low !== null && figure.high !== null ? `${t("band", { low: number(figure.low), high: number(figure.high) })} · ` : "";
  bar.querySelector(".meta").textContent = band + trust(figure);
}

function plainRow(label, text, unit, key, value) {
  const line = make("tr");
  const cell = make("td", "value");
  cell.dataset.power = key;
  cell.dataset.value = value ?? "";
  cell.append(text, make("small", "", text === NONE ? "" : ` ${unit}`));
  line.append(make("th", "", label), cell, make("td", "meta"), make("td", "meta"));
  return line;
}

export function showPv(table, plant, live) {
  const rows = [head()];
  const pv = plant.branches.filter((b) => b.kind === "pv").map((b) => live.branches[b.id]?.active_power_kw ?? null);
  if (pv.length) {
    const total = pv.includes(null) ? null : -pv.reduce((a, b) => a + b, 0);
    const shown = quantity(total, "kW");
    rows.push(plainRow(t("pv_power"), shown.text, shown.unit, "pv", total));
    rows.push(row(t("pv_24h"), "plant.renewable_generation.last_24h", figureOf(live, "plant", "renewable_generation", "last_24h")));
    rows.push(row(t("pv_month"), "plant.renewable_generation.month", figureOf(live, "plant", "renewable_generation", "month")));
    rows.push(row(t("self_consumption"), "plant.pv_self_consumption.month", figureOf(live, "plant", "pv_self_consumption", "month")));
  }
  for (const branch of plant.branches.filter((b) => b.kind === "storage")) {
    const kw = live.branches[branch.id]?.active_power_kw ?? null;
    const shown = quantity(kw === null ? null : Math.abs(kw), "kW");
    const mode = kw === null ? "" : ` (${t(kw > 0 ? "charging" : kw < 0 ? "discharging" : "idle")})`;
    rows.push(plainRow(title(branch.title) + mode, shown.text, shown.unit, `branch:${branch.id}`, kw));
    const charge = live.storage[branch.id]?.state_of_charge_percent ?? null;
    rows.push(plainRow(t("state_of_charge"), number(charge, 1), "%", `charge:${branch.id}`, charge));
  }
  table.replaceChildren(...rows);
}

// Drawn anew only when something changed, so that a button is not taken away under the finger.
export function showAlerts(list, count, alerts, zone, acknowledge) {
  const language = currentLanguage();
  const shape = JSON.stringify([language, alerts]);
  if (list.dataset.shape === shape) return;
  list.dataset.shape = shape;
  count.textContent = String(alerts.length);
  count.classList.toggle("some", alerts.length > 0);
  const items = alerts.map((alert) => {
    const item = make("li", `alert ${alert.state || ""}`);
    item.append(make("strong", "", alert[`title_${language}`] || alert.key), make("span", "meta", t("since", { time: clock(Date.parse(alert.since), zone) })));
    if (alert[`text_${language}`]) item.append(make("p", "", alert[`text_${language}`]));
    if (alert.acknowledged_by) item.append(make("span", "meta", t("acknowledged", { who: alert.acknowledged_by })));
    else if (alert.state === "raised") item.append(acknowledgeButton(alert.key, acknowledge));
    return item;
  });
  list.replaceChildren(...(items.length ? items : [make("li", "calm", t("no_alerts"))]));
}

function acknowledgeButton(key, acknowledge) {
  const button = make("button", "", t("acknowledge"));
  button.type = "button";
  button.dataset.acknowledge = key;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await acknowledge(key);
    } catch (error) {
      button.after(make("span", "meta", error.message)); // a viewer's key, for example
    }
  });
  return button;
}

export function showMeters(list, hint, plant, meters) {
  const rank = { silent: 0, never: 1, ok: 2 };
  const rows = plant.meters.map((m) => ({ ...m, ...(meters[m.id] || { state: "never", age_s: null }) }));
  hint.textContent = t("meters_hint", { ok: rows.filter((m) => m.state === "ok").length, all: rows.length });
  rows.sort((a, b) => rank[a.state] - rank[b.state]);
  list.replaceChildren(...rows.map((meter) => {
    const item = make("li", meter.state);
    const words = meter.state === "ok" ? (meter.age_s === null ? t("ok") : age(meter.age_s)) : meter.state === "silent" ? t("silent", { age: age(meter.age_s) }) : t("never");
    item.dataset.meter = meter.id;
    item.title = detail(meter.detail || "");
    item.append(make("span", "dot"), make("span", "name", title(meter.title)), make("span", "meta", words));
    return item;
  }));
}

export function showParts(list, history, parts, progress) {
  list.replaceChildren(...parts.map((part) => {
    const item = make("li", `part ${part.state}`);
    const [kind, ...id] = part.part.split(":");
    const name = [known(`part_${kind}`) ? t(`part_${kind}`) : kind, ...id].join(" ");
    // a part that is well needs no detail in another language
    const words = part.state !== "ok" ? `${t(part.state)} · ${detail(part.detail)}` : currentLanguage() === "en" ? part.detail : t("ok");
    item.title = part.detail;
    item.append(make("span", "dot"), make("span", "name", name), make("span", "meta", words));
    return item;
  }));
  showProgress(history, progress);
}

// History is read first and computed after; it is done when the computing is.
function showProgress(history, progress) {
  const steps = ["reading", "computing"].filter((step) => progress[step] !== undefined);
  history.hidden = steps.length === 0 || progress.computing >= 100;
  history.querySelector("progress").value = progress.computing ?? 0;
  history.querySelector("output").textContent = steps.map((step) => t(`history_${step}`, { value: number(progress[step], 0) })).join(" · ");
}
