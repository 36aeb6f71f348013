// The network: settings of training, columns of layers, and the picture of neurons and weights.
import { ask, bytes } from "./api.js";
import { $, colour, diverging, el, refill, sharp } from "./dom.js";
import { attempt, change, on, state } from "./state.js";
import { t } from "./words.js";

const ACTIVATIONS = ["relu", "tanh", "sigmoid", "linear", "leaky_relu", "elu", "gelu", "silu", "softplus"];
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
const LOSSES = { classes: ["crossentropy", "mse"], number: ["mse", "mae", "huber"] };
const SQUARE = 34, BOX = 48, GAP = 8, LABEL = 18;

function select(name, values, chosen, change, label) {
  const node = el("select", { "data-setting": name, "aria-label": label || t(name), onchange: () => change(node.value) });
  for (const [value, text] of values) node.append(el("option", { value, selected: String(value) === String(chosen) }, text));
  return node;
}

const field = (name, input) => el("label", { class: "field" }, el("span", {}, t(name)), input);

function numeric(name, low, high, step) {
  const input = el("input", {
    type: "number", min: low, max: high, step, value: state.settings[name], "data-setting": name,
    onchange: () => change({ [name]: Number(input.value) }),
  });
  return field(name, input);
}

function fields() {
  const s = state.settings, task = state.built?.data.task || "classes";
  const rates = RATES.includes(s.rate) ? RATES : [...RATES, s.rate].sort((a, b) => a - b);
  const word = (name) => (name === "mae" ? t("maeLoss") : t(name));
  const setRate = (value) => {
    state.settings.rate = Number(value); // the network stays as it is
    attempt(() => ask("control", { action: "rate", value: Number(value) }));
  };
  refill($("train-fields"),
    field("loss", select("loss", LOSSES[task].map((n) => [n, word(n)]), s.loss || LOSSES[task][0], (v) => change({ loss: v }))),
    field("optimizer", select("optimizer", [["sgd", "SGD"], ["momentum", "SGD, momentum 0.9"], ["adam", "Adam"], ["rmsprop", "RMSprop"], ["adagrad", "Adagrad"]], s.optimizer, (v) => change({ optimizer: v }))),
    field("rate", select("rate", rates.map((r) => [r, String(r)]), s.rate, setRate)),
    ...(state.built?.isGiven ? [] : [field("penalty", select("penalty", [["none", t("none")], ["l1", "L1"], ["l2", "L2"]], s.penalty, (v) => change({ penalty: v }))),
    field("penalty_rate", select("penalty_rate", [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1].map((r) => [r, String(r)]), s.penalty_rate, (v) => change({ penalty_rate: Number(v) }))),
    field("dropout", select("dropout", [0, 0.1, 0.2, 0.3, 0.5].map((r) => [r, String(r)]), s.dropout, (v) => change({ dropout: Number(v) })))]), // a model that was opened has its own
    field("batch", select("batch", [1, 2, 4, 8, 16, 32, 64, 128, 256].map((r) => [r, String(r)]), s.batch, (v) => change({ batch: Number(v) }))),
    numeric("seed", 0, 2147483647, 1),
  );
}

function setLayer(place, values) {
  const layers = state.settings.layers.map((layer, i) => (i === place ? { ...layer, ...values } : layer));
  change({ layers });
}

// Units in steps that a person would take.
function next(units, up) {
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128];
  return up ? sizes.find((n) => n > units) ?? 128 : sizes.findLast((n) => n < units) ?? 1;
}

function column(layer, place) {
  const number = place + 1, images = state.built?.data.kind === "images";
  const convolutional = place === 0 || state.settings.layers[place - 1].kind !== "dense";
  const kinds = ["dense", ...(images && convolutional ? ["conv", "pool"] : [])];
  const parts = [el("strong", {}, t("layer", number))];
  if (kinds.length > 1) parts.push(select(`kind-${place}`, kinds.map((k) => [k, t(k)]), layer.kind, (v) => setLayer(place, { kind: v }), t("kindOf", number)));
  if (layer.kind !== "pool") {
    parts.push(el("span", { class: "pm" },
      el("button", { type: "button", "aria-label": t("fewer", number), onclick: () => setLayer(place, { units: next(layer.units, false) }) }, "−"),
      el("b", { title: t(layer.kind === "conv" ? "filters" : "units") }, String(layer.units)),
      el("button", { type: "button", "aria-label": t("more", number), onclick: () => setLayer(place, { units: next(layer.units, true) }) }, "+")));
    parts.push(select(`activation-${place}`, ACTIVATIONS.map((a) => [a, a]), layer.activation, (v) => setLayer(place, { activation: v }), t("activationOf", number)));
  }
  parts.push(el("button", { type: "button", class: "remove", "aria-label": t("removeLayerOf", number), onclick: () => change({ layers: state.settings.layers.filter((_, i) => i !== place) }) }, t("removeLayer")));
  return el("div", { class: "column" }, ...parts);
}

function columns() {
  const layers = state.settings.layers, built = state.built;
  const last = built?.layers.at(-1);
  const add = () => {
    const model = layers.at(-1)?.kind === "dense" ? layers.at(-1) : { activation: "relu", units: 4 };
    change({ layers: [...layers, { kind: "dense", units: Math.max(2, Math.min(model.units, 16)), activation: model.activation }] });
  };
  $("columns").classList.toggle("named", built?.data.kind === "table"); // names of columns stand before the inputs
  if (built?.isGiven) return $("columns").replaceChildren(...givenColumns(built));
  refill($("columns"),
    el("div", { class: "column" }, el("strong", {}, t("inputs")), el("span", {}, String(built?.inputs ?? ""))),
    ...layers.map(column),
    el("div", { class: "column" }, el("strong", {}, t("outputs")), el("span", {}, last ? `${last.units} · ${last.activation}` : ""),
      el("button", { type: "button", class: "add", id: "add-layer", disabled: layers.length >= 8, onclick: add }, `+ ${t("addLayer")}`)),
  );
}

// Of a model that was opened the layers are what they are; those that do not follow one another share a column.
function givenColumns(built) {
  const inputs = el("div", { class: "column" }, el("strong", {}, t("inputs")), el("span", {}, String(built.inputs)));
  const ends = (layer) => `${layer.shape.join("×")}${layer.activation && layer.activation !== "linear" ? ` · ${layer.activation}` : ""}`;
  return [inputs, ...levels(nodes()).slice(1).map(([layer, ...others]) => el("div", { class: "column" },
    ...(others.length ? [el("strong", {}, t("layersBeside", others.length + 1))]
      : [el("strong", {}, layer.name), el("span", {}, layer.kind), el("span", {}, ends(layer))])))];
}

// --- the picture ------------------------------------------------------------------------------------------------------

// The layers of the picture: the first neurons of each, how many are left out, and the column that they are in.
function nodes() {
  const built = state.built;
  const all = [{ units: built.boxes.length || built.inputs, name: "inputs", level: 0 }, ...built.layers.map((layer) => ({ ...layer }))];
  for (const layer of all.slice(1)) layer.level = 1 + Math.max(...layer.from.map((place) => all[Math.max(place, 0)].level));
  for (const beside of levels(all)) {
    const most = Math.max(1, Math.floor(built.neurons / beside.length));
    for (const layer of beside) Object.assign(layer, { shown: Math.min(layer.units, most), rest: Math.max(0, layer.units - most), labelled: beside.length > 1 });
  }
  return all;
}

// The layers of each column.
function levels(layers) {
  const found = [];
  for (const layer of layers) (found[layer.level] ??= []).push(layer);
  return found;
}

const small = document.createElement("canvas");
function draw() {
  const built = state.built;
  if (!built) return;
  const layers = nodes(), frame = state.frame;
  const width = $("columns").scrollWidth;
  const apart = (layer) => (layer === layers[0] && built.boxes.length ? BOX + GAP : SQUARE + GAP);
  const tall = (layer) => layer.shown * apart(layer) + (layer.labelled ? LABEL : 0);
  const stacks = levels(layers).map((beside) => beside.reduce((sum, layer) => sum + tall(layer), 0));
  const bends = layers.some((layer) => layer.from?.some((place) => layer.level - layers[Math.max(place, 0)].level > 1));
  const height = Math.max(150, Math.max(...stacks) + 34 + (bends ? 40 : 0));
  const canvas = $("net-canvas");
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.setAttribute("aria-label", t("netLabel", built.inputs, built.layers.map((l) => l.units).join(", ")));
  const context = sharp(canvas, width, height);
  const columns = $("columns").children;
  const x = (i) => (columns.length === stacks.length ? columns[layers[i].level].offsetLeft + columns[layers[i].level].offsetWidth / 2 : ((layers[i].level + 0.5) * width) / stacks.length);
  for (const [level, beside] of levels(layers).entries()) { // from the top, in the middle of the height
    let top = height / 2 - 10 + (bends ? 20 : 0) - stacks[level] / 2;
    for (const layer of beside) { layer.top = top + (layer.labelled ? LABEL : 0); top += tall(layer); }
  }
  const y = (layer, j) => layer.top + (j + 0.5) * apart(layer);
  lines(context, layers, x, y, frame);
  for (const [i, layer] of layers.entries()) {
    if (i === 0 && built.boxes.length) { built.boxes.forEach((one, j) => box(context, x(i), y(layer, j), one)); continue; }
    for (let j = 0; j < layer.shown; j++) neuron(context, x(i), y(layer, j), i, j, frame);
    if (layer.labelled) text(context, shortened(layer.rest ? `${layer.name} (${layer.units})` : layer.name, 15), x(i), layer.top - LABEL / 2);
    else if (layer.rest) text(context, t("hiddenUnits", layer.rest), x(i), y(layer, layer.shown - 1) + SQUARE / 2 + 14);
  }
}

// The lines from each layer to those that are computed from it: weights in colour, what else joins them in grey.
function lines(context, layers, x, y, frame) {
  const boxes = state.built.boxes.length;
  for (const [i, layer] of layers.entries()) {
    const matrix = layer.lines === "weights" ? frame?.weights?.[i - 1]?.kernel : null;
    const most = matrix ? Math.max(1e-6, ...matrix.flat().map((w) => Math.abs(w ?? 0))) : 1;
    let above = 0; // units of the sources before this one, which a concatenation puts first
    for (const place of layer.from ?? []) {
      const column = Math.max(place, 0), from = layers[column]; // the second input is -1
      const isBox = place <= 0 && boxes, after = layer.kind === "Concatenate" ? above : 0;
      above += from.units;
      for (let j = 0; j < (isBox ? 1 : from.shown); j++) for (let k = 0; k < layer.shown; k++) {
        if (layer.lines === "each" && !isBox && k !== j + after) continue;
        const start = y(from, isBox ? -place : j);
        line(context, [x(column) + SQUARE / 2, start], [x(i) - SQUARE / 2, y(layer, k)], isBox ? null : matrix?.[j]?.[k], most, layer.level - from.level - 1);
      }
    }
  }
  context.globalAlpha = 1;
}

function line(context, [x0, y0], [x1, y1], weight, most, skipped) {
  const share = weight == null ? 0 : Math.abs(weight) / most, bend = 60 * skipped; // past the layers between them
  context.strokeStyle = colour(weight == null ? "muted" : weight > 0 ? "pos" : "neg");
  context.globalAlpha = weight == null ? 0.3 : 0.15 + 0.8 * share;
  context.lineWidth = weight == null ? 1 : 0.4 + 4 * share;
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo((x0 + x1) / 2, y0 - bend, (x0 + x1) / 2, y1 - bend, x1, y1);
  context.stroke();
}

// The beginning and the end of long words.
const shortened = (words, most) => (words.length <= most ? words : words.includes("/", 1) && words.indexOf("/") < most - 1 ? `${words.slice(0, words.indexOf("/"))}/…` : `${words.slice(0, Math.ceil(most / 2))}…${words.slice(3 - Math.floor(most / 2))}`);

function text(context, words, x, y) {
  context.fillStyle = colour("muted");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(words, x, y);
}

function label(context, words, x, y) {
  context.fillStyle = colour("muted");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  let shown = words, kept = words.length; // of long words the beginning and the end
  while (kept > 2 && context.measureText(shown).width > x - 2) {
    kept -= 1;
    shown = `${words.slice(0, Math.ceil(kept / 2))}…${words.slice(words.length - Math.floor(kept / 2))}`;
  }
  context.fillText(shown, x, y);
}

function box(context, x, y, { name, shape }) {
  context.fillStyle = colour("soft");
  context.strokeStyle = colour("muted");
  context.lineWidth = 1;
  context.beginPath();
  context.roundRect(x - 34, y - BOX / 2, 68, BOX, 6);
  context.fill();
  context.stroke();
  text(context, shape === "text" ? t("text") : shape, x, name ? y + 9 : y);
  if (name) text(context, shortened(name, 9), x, y - 9);
}

function neuron(context, x, y, i, j, frame) {
  const thumbs = i === 0 ? null : frame?.neurons?.[i - 1]?.[j], size = state.built.thumb;
  const left = x - SQUARE / 2, top = y - SQUARE / 2;
  context.save();
  context.beginPath();
  context.roundRect(left, top, SQUARE, SQUARE, 5);
  context.fillStyle = colour("soft");
  context.fill();
  context.clip();
  const seen = i > 0 ? state.look?.neurons[i - 1] : null; // of the image that is looked at
  if (seen?.values[j]) {
    diverging(small, bytes(seen.values[j]), seen.size[1], seen.size[0]);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, left, top, SQUARE, SQUARE);
  } else if (["table", "arrays"].includes(state.built.data.kind) && (i === 0 || frame?.rowNeurons)) {
    const values = i === 0 ? [ofInput(j)] : ofRow(i, j, frame);
    diverging(small, values, values.length, 1);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, left, top, SQUARE, SQUARE);
  } else if (thumbs || (i === 0 && state.built.data.kind === "plane")) {
    diverging(small, thumbs ? bytes(thumbs) : ramp(size, j), size);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, left, top, SQUARE, SQUARE);
  }
  context.restore();
  const bias = frame?.weights?.[i - 1]?.bias?.[j];
  context.strokeStyle = bias == null ? colour("muted") : colour(bias > 0 ? "pos" : "neg");
  context.lineWidth = bias == null ? 1 : 1 + 2 * Math.min(1, Math.abs(bias));
  context.beginPath();
  context.roundRect(left, top, SQUARE, SQUARE, 5);
  context.stroke();
  if (i === 0) label(context, state.built.data.features[j] ?? "", x - SQUARE / 2 - 6, y);
}

// An input of the row of the table that is chosen, from 0 to 255.
const ofInput = (j) => 127.5 + 60 * Math.max(-2.1, Math.min(2.1, state.built.data.testPoints.x[state.row][j]));

// What a neuron gives for that row, at each of the first places of a sequence.
function ofRow(i, j, frame) {
  const { units, shape } = state.built.layers[i - 1], shown = Math.min(units, state.built.neurons);
  const places = Math.min(shape.slice(0, -1).reduce((a, b) => a * b, 1), state.built.places), begin = (state.row * shown + j) * places;
  return bytes(frame.rowNeurons[i - 1]).slice(begin, begin + places);
}

// What an input is over the plane: a ramp.
function ramp(size, axis) {
  const found = new Uint8Array(size * size);
  for (let r = 0; r < size; r++) for (let c = 0; c < size; c++) found[r * size + c] = (255 * (axis === 0 ? c + 0.5 : size - r - 0.5)) / size;
  return found;
}

function note() {
  const built = state.built;
  $("net-note").textContent = built ? t("parameters", built.parameters, t({ plane: "ofPlane", images: "ofImage", table: "ofRow", arrays: "ofSequence" }[built.data.kind])) : "";
}

on("built", () => { fields(); columns(); note(); draw(); });
on("frame", draw);
on("look", draw);
on("row", draw);
on("size", draw);
on("words", () => { fields(); columns(); note(); draw(); });
