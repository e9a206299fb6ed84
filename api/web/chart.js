// Time charts over settled 15-min intervals; where there is no row there is a gap.
/* global d3 */
import { clock, number } from "./format.js";

const MARGIN = { top: 8, right: 8, bottom: 22, left: 40 };

function frame(element, height, domain, top, unit, zone) {
  const width = Math.max(260, element.clientWidth);
  const x = d3.time.scale().domain(domain).range([MARGIN.left, width - MARGIN.right]);
  const y = d3.scale.linear().domain([0, top]).nice(4).range([height - MARGIN.bottom, MARGIN.top]);
  d3.select(element).selectAll("svg").remove();
  const svg = d3.select(element).append("svg").attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img");
  const grid = svg.append("g").attr("class", "axes");
  for (const tick of y.ticks(4)) {
    grid.append("line").attr("x1", MARGIN.left).attr("x2", width - MARGIN.right).attr("y1", y(tick)).attr("y2", y(tick));
    grid.append("text").attr("x", MARGIN.left - 6).attr("y", y(tick) + 4).attr("text-anchor", "end").text(number(tick));
  }
  grid.append("text").attr("class", "unit").attr("x", MARGIN.left + 4).attr("y", MARGIN.top + 8).text(unit);
  const step_ms = (width < 520 ? 12 : 6) * 3600e3;
  for (let at = Math.ceil(domain[0] / step_ms) * step_ms; at <= domain[1]; at += step_ms) {
    const where = x(at), anchor = where > width - 24 ? "end" : "middle";
    grid.append("text").attr("x", where).attr("y", height - 6).attr("text-anchor", anchor).text(clock(at, zone, false));
  }
  return { svg, x, y };
}

// layers: [{ name, values[n] }] from the bottom up; line: values[n]. Where a layer is not known, neither it nor what would stand
// on it is drawn: the stack never passes for less than there was.
export function drawStack(element, t_ms, layers, line, unit, zone, domain) {
  const sums = t_ms.map((_, i) => d3.sum(layers, (l) => l.values[i] || 0));
  const top = d3.max([...sums, ...line.filter(Number.isFinite), 1]);
  const { svg, x, y } = frame(element, Number(element.dataset.height), domain, top * 1.05, unit, zone);
  const base = t_ms.map(() => 0);
  for (const layer of layers) {
    const rows = t_ms.map((at, i) => ({ at, low: base[i], high: base[i] + layer.values[i] }));
    rows.forEach((row, i) => { base[i] = row.high; });
    const area = d3.svg.area().defined((r) => Number.isFinite(r.high)).x((r) => x(r.at)).y0((r) => y(r.low)).y1((r) => y(r.high)).interpolate("step-after");
    svg.append("path").attr("class", `layer ${layer.name}`).attr("d", area(rows));
  }
  const over = d3.svg.line().defined((_, i) => Number.isFinite(line[i])).x((_, i) => x(t_ms[i])).y((_, i) => y(line[i])).interpolate("step-after");
  svg.append("path").attr("class", "over").attr("d", over(line));
}

export function drawBand(element, t_ms, series, target, unit, zone, domain) {
  const top = Math.max(d3.max(series.high.filter(Number.isFinite)) || 0, target || 0, 10);
  const { svg, x, y } = frame(element, Number(element.dataset.height), domain, Math.min(100, top * 1.15), unit, zone);
  const rows = t_ms.map((at, i) => ({ at, value: series.value[i], low: series.low[i], high: series.high[i] }));
  const known = (r) => Number.isFinite(r.value);
  svg.append("path").attr("class", "share-area").attr("d", d3.svg.area().defined(known).x((r) => x(r.at)).y0(y(0)).y1((r) => y(r.value))(rows));
  svg.append("path").attr("class", "share-band").attr("d", d3.svg.area().defined((r) => Number.isFinite(r.low) && Number.isFinite(r.high)).x((r) => x(r.at)).y0((r) => y(r.low)).y1((r) => y(r.high))(rows));
  svg.append("path").attr("class", "share-line").attr("d", d3.svg.line().defined(known).x((r) => x(r.at)).y((r) => y(r.value))(rows));
  if (target) svg.append("line").attr("class", "target").attr("x1", x.range()[0]).attr("x2", x.range()[1]).attr("y1", y(target)).attr("y2", y(target));
}
