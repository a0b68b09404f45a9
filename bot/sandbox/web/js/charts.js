// Charts as plain SVG, each with its numbers as a table for whoever can't see it.

import { h, svg } from "./dom.js";

const WIDTH = 560;
const HEIGHT = 236;
const EDGE = { top: 12, right: 14, bottom: 44, left: 56 };
const DASHES = ["none", "7 4", "2 3", "10 4 2 4", "4 6", "1 4"];

/** A `data_visualization` block. */
export function chart(block, world) {
  const { chart: data } = block;
  const pie = data.type === "pie";
  const drawn = pie ? drawPie(data) : drawAxes(data, world);
  return h(
    "figure",
    { class: pie ? "chart chart-pie" : "chart" },
    h("figcaption", {}, block.title),
    drawn,
    h("ul", { class: "legend" }, (pie ? shares(data, world) : data.series.map((one) => [one.name])).map(([name, share], index) =>
      h("li", {}, swatch(index, data.type), h("span", {}, name), share && h("span", { class: "muted" }, share)))),
    numbers(block, world),
  );
}

/** The class of a series' colour; from the seventh on the colours come again, paler. */
function tone(index) {
  return `series-${index % 6}${index < 6 ? "" : " again"}`;
}

/** The segments of a pie, each with its part of the whole. */
function shares(data, world) {
  const total = data.segments.reduce((sum, one) => sum + one.value, 0);
  const percent = new Intl.NumberFormat(world.locale, { style: "percent" });
  return data.segments.map((one) => [one.label, percent.format(one.value / total)]);
}

function swatch(index, type) {
  const mark = type === "line" || type === "area"
    ? svg("line", { x1: 0, x2: 22, y1: 6, y2: 6, class: `line ${tone(index)}`, "stroke-dasharray": DASHES[index % 6] })
    : svg("rect", { width: 12, height: 12, rx: 3, class: `fill ${tone(index)}` });
  return svg("svg", { width: type === "line" || type === "area" ? 22 : 12, height: 12, "aria-hidden": "true" }, mark);
}

function numbers(block, world) {
  const { chart: data } = block;
  const number = new Intl.NumberFormat(world.locale);
  const rows = data.type === "pie"
    ? data.segments.map((one) => [one.label, one.value])
    : data.axis_config.categories.map((category, at) => [category, ...data.series.map((one) => one.data[at]?.value)]);
  const head = data.type === "pie" ? ["", "Value"] : [data.axis_config.x_label ?? "", ...data.series.map((one) => one.name)];
  return h(
    "details",
    { class: "numbers" },
    h("summary", {}, "Numbers as a table"),
    h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": `Table: ${block.title}` },
      h("table", {},
        h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, rows.map(([label, ...values]) =>
          h("tr", {}, h("th", { scope: "row" }, label), values.map((value) => h("td", {}, value === undefined ? "–" : number.format(value)))))))),
  );
}

/** The ends of an axis that holds these values, and round steps between. */
export function scale(values) {
  const most = Math.max(1, ...values);
  const least = Math.min(0, ...values);
  const rough = (most - least) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const low = Math.floor(least / step) * step;
  const high = Math.ceil(most / step) * step;
  const ticks = [];
  for (let at = low; at <= high + step / 2; at += step) ticks.push(Number(at.toPrecision(12)));
  return { low, high, ticks };
}

function drawAxes(data, world) {
  const { categories, x_label: xLabel, y_label: yLabel } = data.axis_config;
  const axis = scale(data.series.flatMap((one) => one.data.map((point) => point.value)));
  const inner = { width: WIDTH - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const y = (value) => EDGE.top + inner.height * (1 - (value - axis.low) / (axis.high - axis.low));
  const bars = data.type === "bar";
  const x = (at) => EDGE.left + inner.width * (bars || categories.length === 1 ? (at + 0.5) / categories.length : at / (categories.length - 1));
  const number = new Intl.NumberFormat(world.locale, { notation: "compact" });
  const anchor = (at) => (bars || categories.length === 1 ? "middle" : at === 0 ? "start" : at === categories.length - 1 ? "end" : "middle");
  const every = Math.ceil(categories.length / 7);
  const said = `${data.type} chart, ${data.series.map((one) => one.name).join(", ")} over ${xLabel ?? "categories"}`;
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
    axis.ticks.map((tick) => [
      svg("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(tick), y2: y(tick), class: "grid" }),
      svg("text", { x: EDGE.left - 8, y: y(tick) + 4, "text-anchor": "end" }, number.format(tick)),
    ]),
    categories.map((label, at) => at % every === 0 && svg("text", { x: x(at), y: HEIGHT - 26, "text-anchor": anchor(at) }, label)),
    xLabel && svg("text", { x: EDGE.left + inner.width / 2, y: HEIGHT - 6, "text-anchor": "middle", class: "axis-name" }, xLabel),
    yLabel && svg("text", { x: 0, y: 0, transform: `translate(12 ${EDGE.top + inner.height / 2}) rotate(-90)`, "text-anchor": "middle", class: "axis-name" }, yLabel),
    data.series.map((series, index) => (bars ? drawBars(series, index, data.series.length, x, y, inner, categories) : drawLine(series, index, data.type, x, y, axis))),
  );
}

function drawLine(series, index, type, x, y, axis) {
  const points = series.data.map((point, at) => `${x(at).toFixed(1)},${y(point.value).toFixed(1)}`);
  const colour = tone(index);
  const area = type === "area" && svg("polygon", { points: [`${x(0)},${y(axis.low)}`, ...points, `${x(series.data.length - 1)},${y(axis.low)}`].join(" "), class: `area ${colour}` });
  return [
    area,
    svg("polyline", { points: points.join(" "), class: `line ${colour}`, "stroke-dasharray": DASHES[index % 6] }),
    series.data.map((point, at) => svg("circle", { cx: x(at), cy: y(point.value), r: 3.5, class: `fill ${colour}` }, svg("title", {}, `${series.name}, ${point.label}: ${point.value}`))),
  ];
}

function drawBars(series, index, count, x, y, inner, categories) {
  const room = (inner.width / categories.length) * 0.8;
  const width = room / count;
  return series.data.map((point, at) =>
    svg("rect", {
      x: x(at) - room / 2 + index * width, y: Math.min(y(point.value), y(0)), width: Math.max(1, width - 2), height: Math.abs(y(point.value) - y(0)), rx: 2,
      class: `fill ${tone(index)}`,
    }, svg("title", {}, `${series.name}, ${point.label}: ${point.value}`)));
}

function drawPie(data) {
  const total = data.segments.reduce((sum, one) => sum + one.value, 0);
  let angle = -Math.PI / 2;
  const at = (turn) => `${(110 + 90 * Math.cos(turn)).toFixed(2)} ${(110 + 90 * Math.sin(turn)).toFixed(2)}`;
  const slices = data.segments.map((one, index) => {
    const turn = (one.value / total) * Math.PI * 2;
    const path = data.segments.length === 1
      ? svg("circle", { cx: 110, cy: 110, r: 90, class: "fill series-0" })
      : svg("path", { d: `M110 110 L${at(angle)} A90 90 0 ${turn > Math.PI ? 1 : 0} 1 ${at(angle + turn)} Z`, class: `fill slice ${tone(index)}` });
    angle += turn;
    return path;
  });
  return svg("svg", { viewBox: "0 0 220 220", class: "pie", role: "img", "aria-label": `pie chart, ${data.segments.map((one) => one.label).join(", ")}` }, slices);
}

/** Requests a minute over the last while, against the limit. */
export function rateChart(samples, limit, length) {
  const edge = { top: 8, right: 10, bottom: 18, left: 34 };
  const width = 340;
  const height = 130;
  const top = Math.max(limit * 1.1, ...samples.map((one) => one.offered), 1);
  const x = (at) => edge.left + ((width - edge.left - edge.right) * (at + length - samples.length)) / (length - 1);
  const y = (value) => edge.top + (height - edge.top - edge.bottom) * (1 - value / top);
  const points = samples.map((one, at) => `${x(at).toFixed(1)},${y(one.accepted).toFixed(1)}`);
  const now = samples.at(-1)?.accepted ?? 0;
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", class: "rate", "aria-label": `Requests in the last minute of Omnisend's clock: ${now} of ${limit} allowed` },
    svg("line", { x1: edge.left, x2: width - edge.right, y1: y(0), y2: y(0), class: "grid" }),
    svg("text", { x: edge.left - 6, y: y(0) + 4, "text-anchor": "end" }, "0"),
    svg("line", { x1: edge.left, x2: width - edge.right, y1: y(limit), y2: y(limit), class: "limit" }),
    svg("text", { x: edge.left - 6, y: y(limit) + 4, "text-anchor": "end" }, String(limit)),
    points.length > 1 && svg("polygon", { points: [`${x(0)},${y(0)}`, ...points, `${x(samples.length - 1)},${y(0)}`].join(" "), class: "area series-0" }),
    points.length > 1 && svg("polyline", { points: points.join(" "), class: "line series-0" }),
    svg("text", { x: width - edge.right, y: height - 3, "text-anchor": "end" }, "now"),
    svg("text", { x: edge.left, y: height - 3 }, `${length} s ago`),
  );
}
