// The plane: what the network gives at each point, and the data on it; points are set by hand with mouse or keys.
import { bytes } from "./api.js";
import { $, announce, classColour, colour, el, fmt, refill, rgb, sharp } from "./dom.js";
import { change, on, state } from "./state.js";
import { t } from "./words.js";

const canvas = $("plane"), field = document.createElement("canvas");
let chosenClass = 0, cursor = [0, 0], hasCursor = false;

// The colours of the outputs, a pixel for each point of the grid.
function paint(frame, size) {
  field.width = field.height = size;
  const context = field.getContext("2d"), image = context.createImageData(size, size);
  const panel = rgb("panel"), put = (i, end, share) => {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = panel[k] + (end[k] - panel[k]) * share;
    image.data[4 * i + 3] = 255;
  };
  if (frame.field) {
    const low = rgb("neg"), high = rgb("pos");
    for (const [i, v] of bytes(frame.field).entries()) put(i, v < 127.5 ? low : high, (Math.abs(v - 127.5) / 127.5) * 0.75);
  } else {
    const best = bytes(frame.best), sure = bytes(frame.sure), colours = Array.from({ length: 10 }, (_, i) => rgb(`c${i}`));
    for (let i = 0; i < best.length; i++) put(i, colours[best[i] % 10], 0.12 + (0.5 * sure[i]) / 255);
  }
  context.putImageData(image, 0, 0);
}

function draw() {
  const built = state.built;
  if (!built || built.data.kind !== "plane") return;
  const size = canvas.clientWidth || 320, context = sharp(canvas, size, size);
  if (state.frame?.best || state.frame?.field) {
    paint(state.frame, built.grid);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(field, 0, 0, size, size);
  }
  const at = (v) => ((v / built.edge + 1) / 2) * size;
  context.strokeStyle = colour("muted");
  context.globalAlpha = 0.35;
  for (const line of [[at(0), 0, at(0), size], [0, at(0), size, at(0)]]) {
    context.beginPath(); context.moveTo(line[0], line[1]); context.lineTo(line[2], line[3]); context.stroke();
  }
  context.globalAlpha = 1;
  points(context, built.data.points, at, size, false);
  if ($("show-test").checked) points(context, built.data.testPoints, at, size, true);
  if (hasCursor && state.settings.data === "points") {
    context.strokeStyle = colour("text");
    context.lineWidth = 1.5;
    context.beginPath(); context.arc(at(cursor[0]), size - at(cursor[1]), 8, 0, 7); context.stroke();
  }
  const metric = state.frame && built.data.task === "classes" ? `${(100 * state.frame.testMetric).toFixed(1)} %` : fmt(state.frame?.testMetric);
  canvas.setAttribute("aria-label", t("planeLabel", metric));
}

function points(context, data, at, size, isTest) {
  const classes = state.built.data.task === "classes", most = Math.max(1e-6, ...data.y.map((v) => Math.abs(v)));
  for (const [i, [x, y]] of data.x.entries()) {
    const value = data.y[i];
    context.beginPath();
    context.arc(at(x), size - at(y), isTest ? 3.4 : 3.8, 0, 7);
    context.fillStyle = classes ? classColour(value) : `color-mix(in srgb, ${colour(value > 0 ? "pos" : "neg")} ${Math.round((100 * Math.abs(value)) / most)}%, ${colour("panel")})`;
    context.fill();
    context.lineWidth = isTest ? 1.6 : 1;
    context.strokeStyle = colour(isTest ? "text" : "panel");
    context.stroke();
  }
}

function legend() {
  const data = state.built?.data;
  if (!data || data.kind !== "plane") return;
  if (data.task === "classes") {
    $("legend").replaceChildren(...data.classes.map((name, i) => el("span", {}, swatch(classColour(i)), t("className", name))));
  } else {
    const ramp = el("span", { class: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${colour("neg")}, ${colour("panel")}, ${colour("pos")})`;
    const [low, high] = state.frame?.range ?? ["", ""];
    $("legend").replaceChildren(el("span", {}, low === "" ? t("low") : fmt(low, 3)), ramp, el("span", {}, high === "" ? t("high") : fmt(high, 3)));
  }
}

function swatch(background) {
  const node = el("i");
  node.style.background = background;
  return node;
}

// --- points set by hand -----------------------------------------------------------------------------------------------

function add(x, y) {
  const placed = [...state.settings.placed, [Number(x.toFixed(3)), Number(y.toFixed(3)), chosenClass]];
  const enough = placed.length >= 4 && new Set(placed.map((p) => p[2])).size > 1;
  state.settings.placed = placed;
  if (enough) change({ placed }, 250);
  announce(t("setAt", t("className", chosenClass), fmt(x, 3), fmt(y, 3), placed.length));
  hand();
  sketchPoints();
}

// Before there are enough points for a network they are drawn alone.
function sketchPoints() {
  if (state.settings.data !== "points") return;
  const placed = state.settings.placed;
  if (state.built?.data.kind === "plane" && placed.length >= 4) return draw();
  const size = canvas.clientWidth || 320, context = sharp(canvas, size, size);
  const at = (v) => ((v / 1.1 + 1) / 2) * size;
  for (const [x, y, c] of placed) {
    context.beginPath(); context.arc(at(x), size - at(y), 4, 0, 7); context.fillStyle = classColour(c); context.fill();
  }
  context.strokeStyle = colour("text");
  if (hasCursor) { context.beginPath(); context.arc(at(cursor[0]), size - at(cursor[1]), 8, 0, 7); context.stroke(); }
}

function hand() {
  const place = $("place"), placed = state.settings.placed;
  place.hidden = state.settings.data !== "points";
  if (place.hidden) return;
  const choices = el("select", { id: "place-class", "aria-label": t("place"), onchange: () => { chosenClass = Number(choices.value); } });
  for (let i = 0; i < 6; i++) choices.append(el("option", { value: i, selected: i === chosenClass }, t("className", i)));
  refill(place,
    el("span", { class: "note" }, t("place")), choices,
    el("span", { class: "note" }, placed.length ? t("placed", placed.length) : t("pointsNeeded")),
    el("button", { type: "button", onclick: () => { state.settings.placed = []; hand(); sketchPoints(); } }, t("clear")),
  );
}

canvas.addEventListener("click", (event) => {
  if (state.settings.data !== "points") return;
  const box = canvas.getBoundingClientRect(), edge = 1.1;
  add(((event.clientX - box.left) / box.width * 2 - 1) * edge, (1 - (event.clientY - box.top) / box.height * 2) * edge);
});
canvas.addEventListener("keydown", (event) => {
  if (state.settings.data !== "points") return;
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (move) { cursor = cursor.map((v, i) => Math.max(-1, Math.min(1, v + 0.05 * move[i]))); hasCursor = true; announce(t("cursorAt", ...cursor.map((v) => fmt(v, 2)))); }
  else if (event.key === "Enter") add(...cursor);
  else return;
  event.preventDefault();
  draw();
  sketchPoints();
});

$("show-test").addEventListener("change", draw);
on("built", () => { $("plane-part").hidden = state.built.data.kind !== "plane"; legend(); hand(); draw(); });
on("frame", (frame) => { if (frame.type === "frame") { if (!state.legend && frame.range) legend(); draw(); } });
on("size", () => { draw(); sketchPoints(); });
on("words", () => { legend(); hand(); if (state.settings.data === "points") sketchPoints(); draw(); });
on("error", () => { hand(); $("plane-part").hidden = !(state.settings.data === "points" || state.built?.data.kind === "plane"); sketchPoints(); });
