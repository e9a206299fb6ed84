// A bullet bar: one figure with its band against the limits that name it.
/* global d3 */
import { number } from "./format.js";
import { t } from "./i18n.js";

const HEIGHT = 46, BAR = 12, TOP = 18, PAD = 6;

// Limits ascend; the stretch below the first is good, between them fair, above the last poor.
export function drawBullet(element, figure, limits) {
  const width = Math.max(180, element.clientWidth);
  const marks = [...limits].sort((a, b) => a.value - b.value);
  const known = [figure.value, figure.low, figure.high, ...marks.map((m) => m.value)].filter(Number.isFinite);
  const spread = Math.max(d3.max(known) - d3.min(known), d3.max(known) * 0.01);
  const x = d3.scale.linear().domain([d3.min(known) - spread * 0.35, d3.max(known) + spread * 0.35]).range([PAD, width - PAD]);
  const svg = d3.select(element).selectAll("svg").data([0]);
  svg.enter().append("svg").attr("role", "img");
  svg.attr("width", width).attr("height", HEIGHT).attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("aria-label", element.dataset.label || "");
  const edges = [x.domain()[0], ...marks.map((m) => m.value), x.domain()[1]];
  const zones = edges.slice(1).map((end, i) => ({ start: edges[i], end, rank: marks.length === 0 ? "none" : i === 0 ? "good" : i === marks.length ? "poor" : "fair" }));
  join(svg, "rect", "zone", zones).attr("class", (z) => `zone ${z.rank}`).attr("x", (z) => x(z.start)).attr("y", TOP)
    .attr("width", (z) => x(z.end) - x(z.start)).attr("height", BAR);
  join(svg, "line", "limit", marks).attr("x1", (m) => x(m.value)).attr("x2", (m) => x(m.value)).attr("y1", TOP - 4).attr("y2", TOP + BAR + 4);
  join(svg, "text", "limit-name", marks).attr("x", (m) => x(m.value)).attr("y", TOP - 7).attr("text-anchor", "middle").text((m) => t(m.id));
  join(svg, "text", "limit-value", marks).attr("x", (m) => x(m.value)).attr("y", HEIGHT - 3).attr("text-anchor", "middle").text((m) => number(m.value));
  const banded = Number.isFinite(figure.low) && Number.isFinite(figure.high) ? [figure] : [];
  join(svg, "rect", "band", banded).attr("x", (f) => x(f.low)).attr("width", (f) => Math.max(2, x(f.high) - x(f.low)))
    .attr("y", TOP - 1).attr("height", BAR + 2).attr("rx", 2);
  join(svg, "line", "value", Number.isFinite(figure.value) ? [figure] : []).attr("x1", (f) => x(f.value)).attr("x2", (f) => x(f.value))
    .attr("y1", TOP - 3).attr("y2", TOP + BAR + 3);
}

function join(svg, tag, name, data) {
  const found = svg.selectAll(`${tag}.${name}`).data(data);
  found.enter().append(tag).attr("class", name);
  found.exit().remove();
  return found;
}
