// The choice of the data: small pictures of the sets, and their settings.
import { upload } from "./api.js";
import { $, classColour, el, fmt, refill, sharp } from "./dom.js";
import { attempt, change, emit, on, showOutput, state } from "./state.js";
import { current, t } from "./words.js";

const sets = ["circles", "xor", "moons", "spirals", "gaussians", "plane", "hills", "points", "digits", "table"];
let columns = [], table = null, givenImages = false; // of the command line's data; of a file that was chosen

// What the command line gave comes first.
export function begin(start, given) {
  if (!given.length) return;
  sets.unshift("given");
  columns = start.columns ?? [];
  givenImages = !columns.length && !start.model;
  state.run = start.run ?? null;
  for (const name of ["columns", "model", "run"]) delete start[name];
}
const MARKS = { points: "+", digits: "8", table: "▤", given: "▣" };

function picture(name) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const context = sharp(canvas, 40, 40);
  if (name in MARKS) {
    context.fillStyle = classColour(1);
    context.font = "600 24px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(MARKS[name], 20, 21);
    return canvas;
  }
  for (const [x, y, c] of sketch(name)) {
    context.fillStyle = typeof c === "number" ? classColour(c) : c;
    context.beginPath();
    context.arc(20 + 17 * x, 20 - 17 * y, 1.7, 0, 7);
    context.fill();
  }
  return canvas;
}

// A few points that show what a set looks like; the real ones are drawn by the server.
function sketch(name) {
  const points = [];
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let i = 0; i < 44; i++) {
    const u = random(), v = random(), k = i % 2, a = 2 * Math.PI * u;
    if (name === "circles") points.push([(k ? 0.35 * v : 0.85) * Math.cos(a), (k ? 0.35 * v : 0.85) * Math.sin(a), k]);
    if (name === "xor") points.push([2 * u - 1, 2 * v - 1, (u > 0.5) === (v > 0.5) ? 1 : 0]);
    if (name === "moons") { const s = k ? -1 : 1; points.push([s * 0.62 * (Math.cos(Math.PI * u) - 0.5), s * 0.62 * (Math.sin(Math.PI * u) - 0.25), k]); }
    if (name === "spirals") { const r = 0.15 + 0.8 * u, w = 9 * u + Math.PI * k; points.push([r * Math.cos(w), r * Math.sin(w), k]); }
    if (name === "gaussians") { const w = [0.5, 2.6, 4.7][i % 3]; points.push([0.55 * Math.cos(w) + 0.35 * (v - 0.5), 0.55 * Math.sin(w) + 0.35 * (u - 0.5), i % 3]); }
    if (name === "plane" || name === "hills") {
      const x = 2 * u - 1, y = 2 * v - 1, d = (p, q) => Math.exp(-((x - p) ** 2 + (y - q) ** 2) / 0.18);
      const z = name === "plane" ? (x + y) / 2 : d(0.4, 0.4) - d(-0.4, -0.3);
      const share = Math.round(100 * Math.min(1, Math.abs(z) * 1.2 + 0.1));
      points.push([x, y, `color-mix(in srgb, ${classColour(z > 0 ? 1 : 0)} ${share}%, transparent)`]);
    }
  }
  return points;
}

const USUAL = {
  images: {
    layers: [{ kind: "conv", units: 6, activation: "relu" }, { kind: "pool", units: 1, activation: "linear" }, { kind: "dense", units: 24, activation: "relu" }],
    batch: 32, rate: 0.003, dropout: 0.2,
  },
  numbers: {
    layers: [{ kind: "dense", units: 4, activation: "tanh" }, { kind: "dense", units: 3, activation: "tanh" }],
    batch: 16, rate: 0.01, dropout: 0,
  },
};

function choose(name) {
  const images = (kind) => kind === "digits" || (kind === "given" && givenImages);
  const settings = { data: name, loss: "", target: name === "table" ? table?.target ?? "" : "" };
  if (images(name) !== images(state.settings.data)) Object.assign(settings, images(name) ? USUAL.images : USUAL.numbers);
  Object.assign(state.settings, settings);
  if (name !== "table" || table) change(settings);
  show();
}

function show() {
  const place = $("sets");
  refill(place, ...sets.map((name) => {
    const chosen = state.settings.data === name;
    return el("button", {
      type: "button", role: "radio", "aria-checked": String(chosen), tabIndex: chosen ? 0 : -1, "data-set": name,
      onclick: () => choose(name),
      onkeydown: (event) => {
        const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!move) return;
        event.preventDefault();
        choose(sets[(sets.indexOf(name) + move + sets.length) % sets.length]);
        place.querySelector("[aria-checked=true]").focus();
      },
    }, picture(name), el("span", {}, t(name)));
  }));
  fields();
}

function slider(name, low, high, step) {
  const shown = el("output", {}, fmt(state.settings[name]));
  const input = el("input", {
    type: "range", min: low, max: high, step, value: state.settings[name], "data-setting": name, "aria-label": t(name), // the label is that of the output
    oninput: () => { shown.textContent = fmt(Number(input.value)); change({ [name]: Number(input.value) }, 150); },
  });
  return el("label", { class: "field" }, el("span", { class: "head" }, t(name), shown), input);
}

function fields() {
  const toy = !["points", "digits", "table", "given"].includes(state.settings.data);
  const found = toy ? [slider("count", 20, 1000, 10), slider("noise", 0, 0.3, 0.01)] : [];
  if (state.settings.data !== "digits" && !ofRun()) found.push(slider("test", 0.1, 0.9, 0.05));
  if (state.settings.data === "table") found.unshift(...fileFields());
  if (state.settings.data === "given" && columns.length) found.unshift(targets(columns));
  refill($("data-fields"), ...found);
}

function targets(names) {
  const chosen = state.settings.target || table?.target || names.at(-1);
  const input = el("select", { "data-setting": "target", onchange: () => change({ target: input.value, loss: "" }) },
    ...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  return el("label", { class: "field" }, el("span", {}, t("target")), input);
}

function fileFields() {
  const input = el("input", { type: "file", id: "file", class: "hidden", tabIndex: -1, "aria-label": t("chooseFile"), accept: ".csv,.tsv,.tab,.txt,.data,.psv,.parquet,.xlsx", onchange: () => attempt(async () => {
    const file = input.files[0];
    table = { ...(await upload("table", file)), name: file.name };
    emit("error", null);
    change({ data: "table", target: table.target, loss: "" });
    fields();
  }) });
  const found = [el("div", {}, el("button", { type: "button", onclick: () => input.click() }, t("chooseFile")), input)];
  if (table) found.push(el("p", { class: "note" }, `${table.name}: ${t("tableNote", table.rows)}`), targets(table.columns));
  return found;
}

// Choose a row, whose values the picture of the network shows.
function look(row) {
  state.row = row;
  for (const [i, line] of [...$("table-part").querySelectorAll("tbody tr")].entries()) {
    line.tabIndex = i === row ? 0 : -1;
    line.setAttribute("aria-selected", String(i === row));
    if (i === row) line.focus();
  }
  emit("row");
}

// The first rows of a table, in place of the plane.
function rows() {
  const data = state.built?.data, place = $("table-part");
  place.hidden = !["table", "arrays"].includes(data?.kind);
  if (place.hidden) return;
  const most = Math.min(4, data.features.length);
  place.replaceChildren(el("div", { class: "numbers" }, el("table", {}, el("caption", {}, t("firstRows")),
    el("thead", {}, el("tr", {}, el("th", {}, t("target")), el("th", {}, t("predicted")), ...data.features.slice(0, most).map((f) => el("th", { class: data.kind === "arrays" ? "words" : "" }, f.slice(0, 18))))),
    el("tbody", {}, ...data.testPoints.x.map((row, i) => el("tr", {
      tabIndex: i === state.row ? 0 : -1,
      "aria-selected": String(i === state.row), onclick: () => look(i), onkeydown: (event) => {
        const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (move) { event.preventDefault(); look(Math.max(0, Math.min(data.testPoints.x.length - 1, i + move))); }
      },
    }, el("td", {}, nameOf(data.testPoints.y[i])), el("td", {}), ...row.slice(0, most).map((v) => (typeof v === "string" ? el("td", { class: "words" }, v) : el("td", {}, fmt(v, 3))))))))),
    ...(data.features.length > most ? [el("p", { class: "note" }, t("moreColumns", data.features.length - most))] : []));
  predictions();
}

const nameOf = (y) => (state.built.data.task === "classes" ? state.built.data.classes[y] : fmt(y));

// What is predicted of the rows, while it trains: the rows stay, so that they can be chosen.
function predictions() {
  const data = state.built?.data, lines = $("table-part").querySelectorAll("tbody tr");
  const predicted = state.frame?.predicted, sure = state.frame?.sureOfRows;
  if ($("table-part").hidden || !predicted || state.frame.version !== state.built.version) return;
  for (const [i, line] of [...lines].entries()) {
    line.cells[1].textContent = sure ? `${nameOf(predicted[i])} (${Math.round(100 * sure[i])} %)` : nameOf(predicted[i]);
    line.className = data.task === "classes" && predicted[i] !== data.testPoints.y[i] ? "wrong" : "";
  }
}

// Whether the data are those of a run, which has divided them.
const ofRun = () => state.run !== null && state.settings.data === "given";

// What a run says of its data, and its result.
function runPart() {
  const place = $("run-part");
  place.hidden = !ofRun();
  if (place.hidden) return;
  const run = state.run[current()];
  const facts = (pairs) => el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  place.replaceChildren(
    el("h3", {}, t("runTitle", run.name)), el("p", {}, run.result),
    facts(run.facts),
    ...(run.columns.length ? [el("h3", {}, t("runColumns")), facts(run.columns)] : []),
    ...(run.rest ? [el("p", { class: "note" }, t("moreRows", run.rest))] : []),
    ...run.notes.map((line) => el("p", { class: "note" }, line)));
}

// Which output of a model of several is shown.
function outputChoice() {
  const names = state.built?.outputs ?? [], place = $("output-choice");
  place.hidden = names.length < 2;
  if (place.hidden) { place.replaceChildren(); return; }
  const input = el("select", { id: "output-shown", onchange: () => attempt(() => showOutput(Number(input.value))) },
    ...names.map((name, i) => el("option", { value: i, selected: i === state.built.output }, name)));
  refill(place, el("label", { class: "field" }, el("span", {}, t("outputShown")), input));
}

function note() {
  const data = state.built?.data;
  $("data-note").textContent = data ? [t("samples", data.train, data.test), ...(data.invented ? [t("invented")] : [])].join(t("stop")) : "";
}

on("built", () => { note(); rows(); runPart(); outputChoice(); for (const b of $("sets").children) { const c = b.dataset.set === state.settings.data; b.setAttribute("aria-checked", String(c)); b.tabIndex = c ? 0 : -1; } });
on("words", () => { show(); note(); rows(); runPart(); outputChoice(); });
on("frame", predictions);
show();
