// Step by step: one training step on one sample, with every number of `model.explain_step`.
import { ask } from "./api.js";
import { $, el, fmt, refill } from "./dom.js";
import { attempt, on, state } from "./state.js";
import { t } from "./words.js";

const TERMS = 4;
let row = 0, part = "train", step = null;

const bracketed = (v) => (v < 0 ? `(${fmt(v)})` : fmt(v));
const product = (a, b) => `${bracketed(a)} · ${bracketed(b)}`;

function table(caption, heads, rows, texts = [0, 1]) {
  const side = (i) => (texts.includes(i) ? "words" : "");
  return el("div", { class: "numbers" }, el("table", {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map((h, i) => el("th", { scope: "col", class: side(i) }, h)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((c, i) => el("td", { class: side(i) }, c)))))));
}

// How many rows are not shown.
const rest = (count, shown, width) => (count > shown ? [[t("moreRows", count - shown), ...Array(width - 1).fill("")]] : []);

const title = (layer) => `${layer.name} (${layer.kind}${layer.activation ? `, ${layer.activation}` : ""})`;

const grid = (caption, numbers) => el("table", { class: "grid" }, el("caption", {}, caption),
  el("tbody", {}, ...numbers.map((line) => el("tr", {}, ...line.map((v) => el("td", {}, fmt(v, 3)))))));

// The largest output of a convolution: the pixels under the kernel, the kernel, their products, and the sum.
function written(place) {
  const channel = place.channels > 1 ? t("ofChannel", place.channel) : "";
  const products = place.products.flat().reduce((a, b) => a + b, 0);
  const terms = [fmt(products), ...(place.channels > 1 ? [`${bracketed(place.others)} (${t("otherChannels")})`] : []), bracketed(place.bias)];
  const ends = place.activation && place.activation !== "linear" ? `, ${place.activation}: ${fmt(place.output)}` : "";
  return el("div", {}, el("p", { class: "note" }, t("largest", place.filter, place.row, place.column)),
    el("div", { class: "grids" }, grid(`${t("pixels")} ${channel}`, place.pixels), el("span", {}, "×"), grid(t("kernel"), place.kernel), el("span", {}, "="), grid(t("products"), place.products)),
    el("p", {}, `${terms.join(" + ")} = ${fmt(place.sum)}${ends}`));
}

function forward(layer) {
  if (!layer.dense) {
    const range = el("p", {}, el("strong", {}, title(layer)), " ", t("range", layer.shape.join("×"), fmt(layer.outputs.low), fmt(layer.outputs.high)));
    return layer.place ? el("div", {}, range, written(layer.place)) : range;
  }
  const rows = layer.sums.map((z, j) => {
    const terms = layer.features <= TERMS
      ? layer.inputs.map((x, i) => product(x, layer.kernel.before[i][j])).join(" + ")
      : t("ofMany", layer.features);
    return [String(j), layer.bias ? `${terms} + ${bracketed(layer.bias.before[j])}` : terms, fmt(z), fmt(layer.outputs[j])];
  });
  return table(title(layer), [t("neuron"), t("formula"), t("sum"), layer.activation || t("out")], [...rows, ...rest(layer.units, rows.length, 4)]);
}

function backward(layer, layers, lossName) {
  if (!layer.dense) {
    if (!layer.gradients) return null;
    return el("p", {}, el("strong", {}, title(layer)), " ", t("gradientRange", fmt(layer.gradients.low), fmt(layer.gradients.high), fmt(layer.gradients.norm)));
  }
  if (!layer.outputGradients || (!layer.activation && !layer.next)) {
    const why = layer.outputGradients ? t("direct") : t("together", layer.activation, lossName);
    const rows = layer.deltas.map((d, j) => [String(j), fmt(d)]);
    return el("div", {}, table(layer.name, [t("neuron"), t("delta")], [...rows, ...rest(layer.units, rows.length, 2)], [0]), el("p", { class: "note" }, why));
  }
  const next = layers.find((l) => l.name === layer.next);
  const rows = layer.deltas.map((d, j) => {
    const terms = !next ? "" : next.units <= TERMS
      ? next.deltas.map((e, k) => product(next.kernel.before[j]?.[k] ?? 0, e)).join(" + ")
      : t("ofMany", next.units);
    return [String(j), terms, fmt(layer.outputGradients[j]), layer.slopes ? fmt(layer.slopes[j]) : t("mixed"), fmt(d)];
  });
  const heads = [t("neuron"), next ? t("fromNext", next.name) : "", t("gradient"), t("slope"), `${t("delta")} = ${t("gradient")} · ${t("slope")}`];
  const all = [heads, ...rows, ...rest(layer.units, rows.length, 5)].map((cells) => (next ? cells : cells.filter((_, i) => i !== 1)));
  return table(layer.name, all[0], all.slice(1), next ? [0, 1] : [0]);
}

// The weights of a layer that is no dense one, in the order in which they are stored.
function otherWeights(layer) {
  const tables = layer.weights.map((w) => {
    const rows = w.before.map((before, i) => [`[${w.places[i].join(", ")}]`, fmt(w.gradient?.[i]), fmt(before), fmt(w.after[i])]);
    return table(`${layer.name}.${w.name} (${w.shape.join("×")})`, [t("weight"), t("gradient"), t("before"), t("after")], [...rows, ...rest(w.count, rows.length, 4)], [0]);
  });
  return tables.length ? el("div", {}, ...tables) : null;
}

function update(layer) {
  if (!layer.dense) return otherWeights(layer);
  const rows = [], most = 36, count = layer.features * layer.units + (layer.bias ? layer.units : 0);
  for (const [i, line] of layer.kernel.before.entries()) for (const [j, before] of line.entries()) {
    if (rows.length < most) rows.push([`w[${i}, ${j}]`, product(layer.inputs[i], layer.deltas[j]), fmt(layer.kernel.gradient?.[i][j]), fmt(before), fmt(layer.kernel.after[i][j])]);
  }
  if (layer.bias) for (const [j, before] of layer.bias.before.entries()) {
    if (rows.length < most) rows.push([`b[${j}]`, bracketed(layer.deltas[j]), fmt(layer.bias.gradient?.[j]), fmt(before), fmt(layer.bias.after[j])]);
  }
  return table(layer.name, [t("weight"), t("product"), t("gradient"), t("before"), t("after")], [...rows, ...rest(count, rows.length, 5)]);
}

const stage = (name, heading, ...parts) => el("section", { class: `stage ${name}` }, el("h3", {}, heading), el("div", { class: "tables" }, ...parts));

function show() {
  const place = $("view-steps");
  if (place.hidden || !state.built) return;
  const most = part === "test" ? state.built.data.test : state.built.data.train;
  const rowInput = el("input", { type: "number", id: "step-row", min: 0, max: most - 1, value: row, onchange: () => { row = Math.max(0, Math.min(most - 1, Math.round(Number(rowInput.value)) || 0)); compute(); } });
  const partInput = el("select", { id: "step-part", onchange: () => { part = partInput.value; row = 0; compute(); } },
    el("option", { value: "train", selected: part === "train" }, t("ofTraining")), el("option", { value: "test", selected: part === "test" }, t("ofTest")));
  const top = el("div", { class: "steps-top" },
    el("label", { class: "field" }, el("span", {}, t("row")), rowInput), el("label", { class: "field" }, el("span", {}, t("part")), partInput),
    el("button", { type: "button", id: "step-compute", onclick: () => compute() }, t("compute")),
    el("button", { type: "button", id: "step-next", onclick: () => { row = (row + 1) % most; compute(); } }, t("another")),
    el("button", { type: "button", id: "step-apply", class: "main", onclick: () => compute(true) }, t("makeStep")));
  const parts = [el("p", { class: "note" }, t("stepsNote")), top];
  if (step) {
    const layers = step.layers, target = step.target === null ? "–" : [step.target].flat().map((v) => fmt(v)).join(", ");
    const words = t("lossLine", step.lossName, fmt(step.loss, 6), target);
    parts.push(
      stage("forward", t("forward"), ...layers.map(forward)),
      stage("loss", t("lossStage"), el("p", { id: "step-loss" }, step.penalized ? `${words}, ${t("penalized")}` : words)),
      stage("backward", t("backward"), ...[...layers].reverse().map((l) => backward(l, layers, step.lossName))),
      stage("update", `${t("update")}, ${t("by", step.optimizer)}`, ...layers.map(update)));
  }
  refill(place, ...parts);
}

async function compute(apply = false) {
  const answer = await attempt(() => ask("explain", { row, part, apply }));
  if (answer) { step = answer; state.running = false; show(); }
}

on("built", () => { step = null; row = 0; if ($("view-steps").hidden) show(); else compute(); });
for (const event of ["words", "tab"]) on(event, () => { if (!$("view-steps").hidden && !step && state.built) compute(); else show(); });
