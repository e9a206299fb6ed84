// Power flow now: sources on the left, bus sections in the middle, sinks on the right; ribbons as wide as the power.
/* global d3 */
import { number, NONE } from "./format.js";
import { known, t, title } from "./i18n.js";

const ROW = 34, GAP = 8, BUS_ROOM = 90, BUS_WIDTH = 14, RIBBON_MIN = 1.5;

// One node a potline, a purpose, a generator or a tie; a branch without a value keeps its node and shows a dash. The sign of
// its power, not its kind, decides the side: a PV plant draws power at night.
function nodesOf(plant, branches) {
  const nodes = new Map();
  const add = (id, usual, kind, label, branch) => {
    const node = nodes.get(id) || { id, usual, kind, label, kw: 0, parts: [], missing: 0, substituted: 0 };
    nodes.set(id, node);
    const now = branches[branch.id]?.active_power_kw ?? null;
    const into = (branch.kind === "grid_tie" ? 1 : -1) * (now ?? 0); // kW into the bus section
    if (now === null) node.missing += 1;
    node.kw += into;
    node.parts.push({ bus: branch.bus, kw: into });
    if (branches[branch.id]?.substituted) node.substituted += 1;
  };
  for (const branch of plant.branches) {
    const label = title(branch.title);
    if (branch.kind === "grid_tie") add(branch.id, "source", "grid", label, branch);
    else if (branch.kind === "generator" || branch.kind === "pv") add(branch.id, "source", branch.renewable ? "pv" : "captive", label, branch);
    else if (branch.kind === "storage") add(branch.id, "sink", "battery", label, branch);
    else if (branch.kind === "rectifier_group") {
      const line = plant.potlines.find((p) => p.id === branch.potline);
      add(`line:${branch.potline}`, "sink", "load", title(line.title), branch);
    } else if (branch.kind === "feeder") {
      add(`purpose:${branch.purpose}`, "sink", "aux", known(branch.purpose) ? t(branch.purpose) : label, branch);
    }
  }
  return [...nodes.values()].map(sided);
}

function sided(node) {
  const side = node.kw > 0 ? "source" : node.kw < 0 ? "sink" : node.usual;
  const sign = side === "source" ? 1 : -1;
  const parts = node.parts.map((part) => ({ bus: part.bus, kw: Math.max(sign * part.kw, 0) }));
  return { ...node, side, parts, kw: Math.abs(node.kw) };
}

const rowsOf = (nodes) => nodes.map((node) => Math.max(ROW, node.size));
const columnHeight = (nodes) => d3.sum(rowsOf(nodes)) + GAP * (nodes.length - 1);

function place(nodes, height) {
  const rows = rowsOf(nodes);
  let y = (height - columnHeight(nodes)) / 2;
  nodes.forEach((node, i) => {
    node.y = y + rows[i] / 2;
    y += rows[i] + GAP;
  });
}

function ribbon(x0, y0, x1, y1, width) {
  const middle = (x0 + x1) / 2, half = width / 2;
  return `M${x0},${y0 - half}C${middle},${y0 - half} ${middle},${y1 - half} ${x1},${y1 - half}`
    + `V${y1 + half}C${middle},${y1 + half} ${middle},${y0 + half} ${x0},${y0 + half}Z`;
}

function layout(plant, branches, width) {
  const nodes = nodesOf(plant, branches);
  const order = new Map(plant.buses.map((bus, i) => [bus.id, i]));
  const byBus = (a, b) => order.get(a.parts[0].bus) - order.get(b.parts[0].bus) || b.kw - a.kw;
  const sources = nodes.filter((n) => n.side === "source").sort(byBus);
  const sinks = nodes.filter((n) => n.side === "sink").sort(byBus);
  const rows = Math.max(sources.length, sinks.length, 1);
  const total = Math.max(d3.sum(sources, (n) => n.kw), d3.sum(sinks, (n) => n.kw), 1);
  const scale = (Math.max(rows * (ROW + GAP), 250) * 0.52) / total;
  for (const node of nodes) node.size = Math.max(RIBBON_MIN, node.kw * scale);
  const height = Math.max(columnHeight(sources), columnHeight(sinks), BUS_ROOM * plant.buses.length);
  place(sources, height);
  place(sinks, height);
  const label = Math.min(150, Math.max(92, width * 0.25));
  const bus = new Map(plant.buses.map((b) => [b.id, { id: b.id, kv: b.voltage_kv, into: 0, outof: 0 }]));
  for (const n of nodes) for (const p of n.parts) bus.get(p.bus)[n.side === "source" ? "into" : "outof"] += Math.max(RIBBON_MIN, p.kw * scale);
  const heights = [...bus.values()].map((b) => Math.max(b.into, b.outof, 24));
  const between = (height - d3.sum(heights)) / (heights.length + 1);
  let y = Math.max(0, between);
  [...bus.values()].forEach((b, i) => {
    Object.assign(b, { y0: y, y1: y + heights[i], left: y + (heights[i] - b.into) / 2, right: y + (heights[i] - b.outof) / 2 });
    y += heights[i] + Math.max(GAP, between);
  });
  return { nodes, sources, sinks, bus, height, scale, label, middle: width / 2 };
}

function ribbons(plan, width) {
  const found = [];
  for (const node of [...plan.sources, ...plan.sinks]) {
    let y = node.y - node.size / 2;
    for (const [i, part] of node.parts.entries()) {
      const size = Math.max(RIBBON_MIN, part.kw * plan.scale), bus = plan.bus.get(part.bus);
      const source = node.side === "source", edge = source ? "left" : "right";
      const at = y + size / 2, on = bus[edge] + size / 2;
      bus[edge] += size;
      y += size;
      const path = source
        ? ribbon(plan.label, at, plan.middle - BUS_WIDTH / 2, on, size)
        : ribbon(plan.middle + BUS_WIDTH / 2, on, width - plan.label, at, size);
      found.push({ key: `${node.id}/${i}`, kind: node.kind, path, missing: node.missing === node.parts.length });
    }
  }
  return found;
}

export function unitOf(plant) {
  const rated = d3.sum(plant.branches, (b) => b.capacity_kw);
  return rated >= 5000 || rated === 0 ? { name: "MW", factor: 1000, digits: 1 } : { name: "kW", factor: 1, digits: 0 };
}

function valueText(node, unit) {
  if (node.missing === node.parts.length) return NONE;
  return `${node.missing ? "≥ " : ""}${number(node.kw / unit.factor, unit.digits)} ${unit.name}`;
}

export function drawFlow(element, plant, branches) {
  const width = Math.max(300, element.clientWidth), unit = unitOf(plant);
  const plan = layout(plant, branches, width);
  const svg = d3.select(element).selectAll("svg").data([0]);
  svg.enter().append("svg").attr("role", "img");
  svg.attr("viewBox", `0 0 ${width} ${plan.height}`).attr("width", width).attr("height", plan.height).attr("aria-label", t("flow_title"));
  const paths = svg.selectAll("path.ribbon").data(ribbons(plan, width), (r) => r.key);
  paths.enter().insert("path", "g");
  paths.exit().remove();
  paths.attr("class", (r) => `ribbon ${r.kind}${r.missing ? " missing" : ""}`).attr("d", (r) => r.path);
  drawBuses(svg, plan, plant, branches, unit);
  drawLabels(svg, plan, width, unit);
  return { sources: d3.sum(plan.sources, (n) => n.kw), sinks: d3.sum(plan.sinks, (n) => n.kw), missing: d3.sum(plan.nodes, (n) => n.missing) };
}

function drawBuses(svg, plan, plant, branches, unit) {
  const groups = svg.selectAll("g.bus").data([...plan.bus.values()], (b) => b.id);
  const entered = groups.enter().append("g").attr("class", "bus");
  entered.append("rect");
  entered.append("text");
  groups.exit().remove();
  groups.select("rect").attr("x", plan.middle - BUS_WIDTH / 2).attr("width", BUS_WIDTH).attr("y", (b) => b.y0).attr("height", (b) => b.y1 - b.y0).attr("rx", 3);
  groups.select("text").attr("x", plan.middle).attr("y", (b, i) => (i ? b.y1 + 14 : b.y0 - 6)).attr("text-anchor", "middle").text((b) => `${b.id} · ${number(b.kv)} kV`);
  const couplers = plant.branches.filter((b) => b.kind === "coupler" && plan.bus.has(b.bus) && plan.bus.has(b.to_bus));
  const marks = svg.selectAll("g.coupler").data(couplers, (b) => b.id);
  const added = marks.enter().append("g").attr("class", "coupler");
  added.append("line");
  added.append("text");
  marks.exit().remove();
  const edge = (b) => [plan.bus.get(b.bus), plan.bus.get(b.to_bus)].sort((p, q) => p.y0 - q.y0);
  marks.select("line").attr("x1", plan.middle).attr("x2", plan.middle).attr("y1", (b) => edge(b)[0].y1).attr("y2", (b) => edge(b)[1].y0);
  marks.select("text").attr("x", plan.middle + 8).attr("y", (b) => (edge(b)[0].y1 + edge(b)[1].y0) / 2 - 4).text((b) => {
    const kw = branches[b.id]?.active_power_kw ?? null;
    if (kw === null) return NONE;
    const down = (kw > 0) === (edge(b)[0].id === b.bus);
    return `${down ? "↓" : "↑"} ${number(Math.abs(kw) / unit.factor, unit.digits)} ${unit.name}`;
  });
}

function drawLabels(svg, plan, width, unit) {
  const groups = svg.selectAll("g.node").data([...plan.sources, ...plan.sinks], (n) => n.id);
  const entered = groups.enter().append("g");
  entered.append("rect").attr("width", 4).attr("rx", 2);
  entered.append("text").attr("class", "name");
  entered.append("text").attr("class", "value");
  entered.append("title");
  groups.exit().remove();
  const left = (n) => n.side === "source";
  groups.attr("class", (n) => `node ${n.kind}${n.missing ? " missing" : ""}`).attr("data-node", (n) => n.id).attr("data-side", (n) => n.side)
    .attr("data-kw", (n) => (n.missing === n.parts.length ? "" : n.kw));
  groups.select("rect").attr("x", (n) => (left(n) ? plan.label - 4 : width - plan.label)).attr("y", (n) => n.y - Math.max(n.size, 3) / 2)
    .attr("height", (n) => Math.max(n.size, 3));
  const x = (n) => (left(n) ? plan.label - 11 : width - plan.label + 11), anchor = (n) => (left(n) ? "end" : "start");
  groups.select("text.name").attr("x", x).attr("y", (n) => n.y - 3).attr("text-anchor", anchor).text((n) => n.label)
    .each(function shorten(n) { fit(this, n.label, plan.label - 13); });
  groups.select("text.value").attr("x", x).attr("y", (n) => n.y + 13).attr("text-anchor", anchor)
    .text((n) => valueText(n, unit) + (n.substituted ? " ◇" : ""));
  groups.select("title").text((n) => `${n.label}: ${valueText(n, unit)}${n.substituted ? ` (${t("substituted")})` : ""}`);
}

function fit(text, label, room) {
  for (let length = label.length; text.getComputedTextLength() > room && length > 2; length -= 1) {
    text.textContent = `${label.slice(0, length - 1).trimEnd()}…`;
  }
}
