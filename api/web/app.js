// The page: loads the plant, follows the live stream, shows figures with what they rest on.
import { drawBand, drawStack } from "./chart.js";
import { explainOnClick } from "./explain.js";
import { drawFlow } from "./flow.js";
import { age, clock, NONE, number, quantity } from "./format.js";
import { applyLanguage, currentLanguage, setLanguage, t, title } from "./i18n.js";
import { showOverview } from "./overview.js";
import { showAlerts, showGreen, showIntensity, showMeters, showParts, showPv, fillFigures } from "./panels.js";
import { getJson, getText, hasKey, keepKey, KeyWanted, listen, postJson } from "./stream.js";

const STALE_S = 5, TREND_EVERY_MS = 120e3, TREND_H = 48, OVERVIEW_EVERY_MS = 120e3;
const state = { plant: null, live: null, receivedAt: 0, openedAt: performance.now(), trend: null, overview: null, window: "last_24h", fault: "", progress: {}, reloading: false };
const $ = (id) => document.getElementById(id);

function base() { return `/api/v1/plants/${encodeURIComponent(state.plant.id)}`; }

function renderStatic() {
  applyLanguage();
  const { plant } = state;
  $("theme").textContent = t(document.documentElement.dataset.theme === "dark" ? "theme_light" : "theme_dark");
  if (!plant) return;
  $("plant-title").textContent = title(plant.title);
  document.title = `${title(plant.title)} · potwatt`;
  $("grafana-hint").textContent = plant.store === "influxdb" ? "" : t("grafana", { store: plant.store });
  $("green-target").textContent = plant.green_share_target_percent === null ? "" : t("target", { value: number(plant.green_share_target_percent, 0) });
  const names = ["last_15min", "last_24h", "shift", "day", "month"];
  $("window-switch").replaceChildren(...names.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = t(name);
    button.setAttribute("aria-pressed", String(name === state.window));
    button.addEventListener("click", () => { state.window = name; renderStatic(); renderLive(); });
    return button;
  }));
  $("mix-legend").replaceChildren(...["captive", "grid", "pv", "battery", "load"].map((name) => {
    const item = document.createElement("span");
    item.className = name;
    item.textContent = t(name);
    return item;
  }));
}

function renderReports() {
  const links = ["day", "month", "year"].map((kind) => [`report_${kind}`, `${kind}/${state.live.reports[kind]}`]);
  $("reports").replaceChildren(...links.map(([key, path]) => {
    const link = document.createElement("a");
    link.href = `${base()}/reports/${path}?format=html&lang=${currentLanguage()}`;
    link.textContent = t(key);
    link.addEventListener("click", openWithKey);
    return link;
  }));
}

// A link cannot send the key, so with one the report is fetched and shown from memory.
async function openWithKey(event) {
  if (!hasKey()) return;
  event.preventDefault();
  const { href } = event.currentTarget;
  try {
    const page = await withKey(() => getText(href));
    const absolute = page.replaceAll('href="/', `href="${location.origin}/`);
    open(URL.createObjectURL(new Blob([absolute], { type: "text/html" })));
  } catch (error) {
    showDefect(error);
  }
}

function renderLive() {
  const { plant, live } = state;
  if (!plant || !live) return;
  const flow = drawFlow($("flow"), plant, live.branches);
  const difference = quantity(flow.sources - flow.sinks, "kW");
  $("flow-hint").textContent = flow.missing ? t("unmetered", { count: flow.missing, all: plant.branches.length }) : t("balance", { value: `${difference.text} ${difference.unit}` });
  renderLoad();
  fillFigures(live);
  showGreen($("green-figures"), live);
  showIntensity($("intensity"), plant, live, state.window);
  showPv($("pv"), plant, live);
  showAlerts($("alerts"), $("alert-count"), live.alerts, plant.zone, acknowledge);
  showMeters($("meters"), $("meters-hint"), plant, live.meters);
  showParts($("parts"), $("history"), live.parts, state.progress);
  renderReports();
  renderAge();
}

// Most messages bring the quick periods alone; the slow ones stay as they came last.
function takeLive(live) {
  const periods = { ...state.live?.periods, ...live.periods };
  Object.assign(state, { live: { ...live, periods }, receivedAt: performance.now(), fault: "" });
  renderLive();
  const { plant } = state;
  if (plant && !state.reloading && (live.edition !== plant.edition || live.date !== plant.date)) reloadPlant();
}

// Another edition of the site or another day brings another graph or other limits.
async function reloadPlant() {
  state.reloading = true;
  try {
    await withKey(loadPlant);
    renderAll();
  } catch (error) {
    showDefect(error);
  } finally {
    state.reloading = false;
  }
}

const acknowledge = (key) => withKey(() => postJson(`${base()}/alerts/${encodeURIComponent(key)}/acknowledge`, {}));

function showDefect(error) {
  state.fault = error.message || String(error);
  renderAge();
}

function renderLoad() {
  const load = document.querySelector('[data-power="load"]');
  const kw = state.live.power_kw.load ?? null;
  const shown = quantity(kw, "kW");
  load.dataset.value = kw === null ? "" : String(kw);
  load.replaceChildren(shown.text, Object.assign(document.createElement("small"), { textContent: ` ${shown.unit}` }));
  const parts = [["grid", "grid_import"], ["pv", "renewable_generation"]].filter(([, name]) => Number.isFinite(state.live.power_kw[name]));
  $("load-meta").textContent = parts.map(([key, name]) => {
    const part = quantity(state.live.power_kw[name], "kW");
    return `${t(key)} ${part.text} ${part.unit}`;
  }).join(" · ");
}

// The server's clock tells how old a reading was when it left; since then this page's own monotonic clock runs. Only a live
// document makes the figures fresh: a fault is news of what fails, not of the plant.
function renderAge() {
  const waited_s = (performance.now() - (state.receivedAt || state.openedAt)) / 1000;
  const stale = waited_s > STALE_S;
  document.body.classList.toggle("stale", stale);
  const banner = $("banner");
  banner.hidden = !stale && !state.fault;
  const said = [state.fault && t("fault", { detail: state.fault }), stale && t("stale", { age: age(Math.round(waited_s)) })];
  const words = said.filter(Boolean).join(" ");
  if (!banner.hidden && banner.textContent !== words) banner.textContent = words;
  if (!state.live) return;
  const newest = state.live.newest_reading_ms;
  $("data-age").textContent = newest === null ? t("no_data") : t("data_age", { age: age((state.live.t_ms - newest) / 1000 + waited_s) });
  $("plant-clock").textContent = clock(state.live.t_ms, state.plant.zone);
  $("pulse").className = stale ? "pulse stopped" : "pulse";
}

async function loadTrend() {
  const fields = ["load_energy", "captive_generation", "grid_import", "renewable_generation", "storage_discharge",
    "green_share_physical", "green_share_physical_low", "green_share_physical_high"];
  const query = new URLSearchParams([["node", "plant"], ["start", `-${TREND_H}h`], ["end", "now"], ["resolution", "15m"], ...fields.map((f) => ["field", f])]);
  const answer = await getJson(`${base()}/intervals?${query}`);
  state.trend = { ...answer.nodes.plant, domain: [Date.parse(answer.start), Date.parse(answer.end)] };
  renderTrend();
}

// A source that the plant does not have is no part of the stack; one that it has and that is not known breaks it.
function sourcesOf(plant) {
  const name = { grid_tie: () => "grid", storage: () => "battery", pv: () => "pv", generator: (b) => (b.renewable ? "pv" : "captive") };
  return new Set(plant.branches.map((branch) => name[branch.kind]?.(branch)));
}

function renderTrend() {
  const { trend, plant } = state;
  if (!trend) return;
  const empty = trend.t_ms.length === 0;
  for (const id of ["mix-chart", "green-chart"]) $(id).dataset.empty = empty ? t("waiting") : "";
  if (empty) return;
  const mw = (name) => (trend[name].length ? trend[name].map((kwh) => (kwh === null ? NaN : (kwh * 4) / 1000)) : trend.t_ms.map(() => NaN));
  const layers = [["captive", "captive_generation"], ["grid", "grid_import"], ["pv", "renewable_generation"], ["battery", "storage_discharge"]]
    .filter(([name]) => sourcesOf(plant).has(name)).map(([name, field]) => ({ name, values: mw(field) }));
  drawStack($("mix-chart"), trend.t_ms, layers, mw("load_energy"), "MW", plant.zone, trend.domain);
  const plain = (name) => (trend[name].length ? trend[name].map((v) => (v === null ? NaN : v)) : trend.t_ms.map(() => NaN));
  const share = { value: plain("green_share_physical"), low: plain("green_share_physical_low"), high: plain("green_share_physical_high") };
  drawBand($("green-chart"), trend.t_ms, share, plant.green_share_target_percent, "%", plant.zone, trend.domain);
}

const renderOverview = () => showOverview($("overview"), $("overview-hint"), state.overview);

async function loadOverview() {
  state.overview = await getJson(`${base()}/overview`);
  renderOverview();
}

function renderAll() {
  renderStatic();
  renderLive();
  renderTrend();
  renderOverview();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("potwatt-theme", name);
}

async function askKey() {
  const dialog = $("key-dialog");
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
  keepKey($("key-input").value);
  $("key-input").value = "";
}

async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KeyWanted)) throw error;
      await askKey();
    }
  }
}

async function loadPlant() {
  const { plants, version } = await getJson("/api/v1/plants");
  state.plant = await getJson(plants[0].href);
  $("version").textContent = `potwatt ${version}`;
}

// The server may still be starting, so the first request is tried until it is answered.
async function untilLoaded() {
  for (;;) {
    try {
      return await withKey(loadPlant);
    } catch (error) {
      state.fault = error.message;
      renderAge();
      await new Promise((resolve) => { setTimeout(resolve, 2000); });
    }
  }
}

const safely = (load) => () => load().catch((error) => { state.fault = error.message || NONE; });
const trendSafely = safely(loadTrend), overviewSafely = safely(loadOverview);

async function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = localStorage.getItem("potwatt-theme") || (dark ? "dark" : "light");
  $("language").addEventListener("click", () => { setLanguage(currentLanguage() === "zh" ? "en" : "zh"); renderAll(); });
  $("theme").addEventListener("click", () => { setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); renderAll(); });
  addEventListener("resize", () => requestAnimationFrame(renderAll));
  renderStatic();
  setInterval(renderAge, 1000);
  await untilLoaded();
  explainOnClick(base, withKey);
  renderAll();
  trendSafely();
  setInterval(trendSafely, TREND_EVERY_MS);
  overviewSafely();
  setInterval(overviewSafely, OVERVIEW_EVERY_MS);
  await withKey(() => listen(`${base()}/events`, {
    live: takeLive,
    fault: (fault) => { state.fault = fault.detail; renderAge(); },
    defect: showDefect,
    progress: ({ what, percent }) => { state.progress[what] = percent; renderLive(); },
  }));
}

start();
