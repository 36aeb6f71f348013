// Curves of the loss and of the metric. Earlier runs stay, so that runs can be compared.
import { $, classColour, el, fmt, refill, svg } from "./dom.js";
import { on, state } from "./state.js";
import { t } from "./words.js";

const MOST = 400, RUNS = 6; // points of a curve, runs that stay
const WIDTH = 420, HEIGHT = 220, LEFT = 46, BOTTOM = 24, TOP = 18, RIGHT = 8;
let runs = [], number = 0;

function begin() {
  const last = runs.at(-1);
  if (last && !last.points.some((p) => p.epoch > 0)) runs.pop(); // it never trained
  number += 1;
  const s = state.settings, sign = { Conv2D: "c", MaxPooling2D: "p", AveragePooling2D: "p" };
  const layers = state.built.layers.slice(0, -1).map((l) => (sign[l.kind] === "p" ? "p" : `${sign[l.kind] ?? ""}${l.units}`)).join("-");
  const shown = state.built.outputs[state.built.output];
  runs.push({ number, data: s.data, name: `${layers.length > 24 ? `${layers.slice(0, 23)}…` : layers || "–"}, ${s.optimizer} ${s.rate}${shown ? `, ${shown}` : ""}`, task: state.built.data.task, loss: state.built.loss, points: [] });
  runs = runs.slice(-RUNS);
  show();
}

function add(frame) {
  if (!("loss" in frame) || !runs.length) return;
  const points = runs.at(-1).points;
  if (points.length && points.at(-1).epoch === frame.epoch) points.pop();
  points.push({ epoch: frame.epoch, loss: frame.loss, testLoss: frame.testLoss, metric: frame.metric, testMetric: frame.testMetric });
  if (points.length > MOST) runs.at(-1).points = points.filter((_, i) => i % 2 === 0 || i === points.length - 1);
  show();
}

// Round numbers that reach from one number to another, some four or five of them.
function ticks(low, high) {
  const rough = Math.max(high - low, 1e-9) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let i = Math.floor(low / step + 1e-9); found.length < 9; i++) {
    found.push(Number((i * step).toPrecision(12)));
    if (i * step >= high - step * 1e-6) break;
  }
  return found;
}

function chart(title, runs, key, testKey, isShare) {
  const shown = (v) => (isShare && v !== null && v !== undefined ? `${(100 * v).toFixed(1)} %` : fmt(v));
  const said = runs.filter((r) => r.points.length).map((r) => t("runValues", r.number, shown(r.points.at(-1)[key]), shown(r.points.at(-1)[testKey])));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": [title, ...said].join(". ") });
  const values = runs.flatMap((r) => r.points.flatMap((p) => [p[key], p[testKey]])).filter((v) => v !== null);
  if (!values.length) values.push(0, 1); // a run that has not begun
  const most = Math.max(1, ...runs.flatMap((r) => r.points.map((p) => p.epoch)));
  const least = Math.min(...values), marks = isShare ? ticks(Math.min(least, 0.5), 1) : ticks(Math.min(0, least), Math.max(...values));
  const low = Math.min(marks[0], least), top = Math.max(marks.at(-1), ...values), high = top > low ? top : low + 1; // of values that are all 0
  const x = (epoch) => LEFT + (epoch / most) * (WIDTH - LEFT - RIGHT);
  const y = (v) => TOP + (1 - (v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  for (const v of marks) {
    picture.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(v), y2: y(v) }),
      svg("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, isShare ? `${Math.round(100 * v)} %` : fmt(v, 2)));
  }
  for (const v of ticks(0, most).filter((v) => v <= most)) picture.append(svg("text", { x: x(v), y: HEIGHT - 8, "text-anchor": x(v) > WIDTH - 30 ? "end" : "middle" }, fmt(v, 6)));
  for (const run of runs) for (const [name, dashed] of [[key, false], [testKey, true]]) {
    const points = run.points.filter((p) => p[name] !== null).map((p) => `${x(p.epoch).toFixed(1)},${y(p[name]).toFixed(1)}`);
    if (points.length === 1) picture.append(svg("circle", { cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 3, fill: dashed ? "none" : classColour(run.number - 1), stroke: classColour(run.number - 1) }));
    else if (points.length) picture.append(svg("polyline", { class: `curve${dashed ? " dashed" : ""}`, points: points.join(" "), stroke: classColour(run.number - 1) }));
  }
  return el("figure", { class: "chart", style: "margin:0" }, el("figcaption", { class: "note" }, title), picture);
}

let due = 0;
function show() {
  if ($("view-curves").hidden || due) return;
  due = requestAnimationFrame(() => { due = 0; render(); });
}

const lastOf = (run) => (run.points.length ? t("runLine", fmt(run.points.at(-1).epoch, 3), fmt(run.points.at(-1).testLoss)) : "");

function runList() {
  return el("ul", { class: "runs" }, ...[...runs].reverse().map((run) => {
    const isNow = run === runs.at(-1), line = el("i");
    line.style.background = classColour(run.number - 1);
    return el("li", {}, line, el("strong", {}, `${run.number}`), el("span", {}, `${t(run.data)}, ${run.name}`),
      el("span", { class: isNow ? "note last" : "note" }, lastOf(run)),
      isNow ? el("span", { class: "note" }, `(${t("thisRun")})`) : el("button", { type: "button", "aria-label": t("removeRunOf", run.number), onclick: () => { runs = runs.filter((r) => r !== run); show(); } }, t("removeRun")));
  }));
}

let listed = null; // the list of runs, and what it is made of
function render() {
  const place = $("view-curves");
  const drawn = runs.filter((r) => r.points.length);
  if (!drawn.length) { place.replaceChildren(el("p", { class: "note" }, t("noCurve"))); return; }
  const task = state.built.data.task, keys = `(${t("byEpoch")})   — ${t("training")}   - - ${t("testing")}`;
  const metric = t(task === "number" ? "maeOf" : "accuracyOf");
  const same = runs.filter((r) => r.task === task); // the metric of others is another one
  const alike = runs.filter((r) => r.loss === state.built.loss);
  const charts = el("div", { class: "charts" }, chart(`${t("lossOf")}   ${keys}`, alike, "loss", "testLoss", false), chart(`${metric}   ${keys}`, same, "metric", "testMetric", task !== "number"));
  const names = `${t("removeRun")} ${runs.map((run) => run.number)}`;
  if (listed?.names === names && place.contains(listed.list)) { // while it trains the list stays, so that its buttons can be used
    place.querySelector(".charts").replaceWith(charts);
    listed.list.querySelector(".last").textContent = lastOf(runs.at(-1));
    return;
  }
  listed = { names, list: runList() };
  refill(place, charts, listed.list, el("p", { class: "note" }, t("keepRuns")));
}

on("built", begin);
on("frame", add);
for (const event of ["words", "tab"]) on(event, show);
