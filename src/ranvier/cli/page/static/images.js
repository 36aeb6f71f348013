// Images: draw one or choose one, and see what the network makes of it while you draw.
import { ask, bytes } from "./api.js";
import { $, colour, diverging, el, refill, sharp } from "./dom.js";
import { emit, on, state } from "./state.js";
import { t } from "./words.js";

const SIDE = 224, PEN = 24, STEP = 8;
const pad = el("canvas", { id: "pad", tabIndex: 0, role: "img" });
const ink = el("canvas"); // what is drawn, in black and white
let drawn = false, chosen = null, answer = null, pen = [SIDE / 2, SIDE / 2], down = false, byKeys = false;
let busy = false, again = false, built = null;

// Small grey or coloured pictures of bytes.
function picture(values, [height, width, channels = 1]) {
  const canvas = el("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = values[i * channels + (channels === 3 ? k : 0)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const signed = (text, [height, width]) => { const canvas = el("canvas"); diverging(canvas, bytes(text), width, height); return canvas; };

function clear() {
  ink.width = ink.height = SIDE;
  const context = ink.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#000";
  context.fillRect(0, 0, SIDE, SIDE);
  drawn = false;
  show();
}

function show() {
  const context = sharp(pad, SIDE, SIDE);
  context.drawImage(ink, 0, 0);
  if (byKeys) {
    context.strokeStyle = colour(down ? "pos" : "neg");
    context.lineWidth = 2;
    context.beginPath(); context.arc(...pen, PEN / 2, 0, 7); context.stroke();
  }
}

function stroke(from, to) {
  const context = ink.getContext("2d");
  context.strokeStyle = "#fff";
  context.lineWidth = PEN;
  context.lineCap = context.lineJoin = "round";
  context.beginPath(); context.moveTo(...from); context.lineTo(...to); context.stroke();
  drawn = true;
  chosen = null;
  show();
  look();
}

// The drawing in the size of the data's images: its box, in the middle, made smaller by halves so that lines stay grey.
function values() {
  const [height, width] = state.built.data.size, source = ink.getContext("2d").getImageData(0, 0, SIDE, SIDE).data;
  let [x0, y0, x1, y1] = [SIDE, SIDE, 0, 0];
  for (let i = 0; i < SIDE * SIDE; i++) if (source[4 * i] > 60) {
    const x = i % SIDE, y = (i - x) / SIDE;
    [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
  }
  const tall = Math.max(y1 - y0, x1 - x0, 1) * (height <= 12 ? 1.0 : 1.35);
  const middle = [(x0 + x1) / 2, (y0 + y1) / 2];
  const canvas = el("canvas"), side = 128;
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, side, side);
  context.drawImage(ink, middle[0] - tall / 2, middle[1] - tall / 2, tall, tall, 0, 0, side, side);
  const found = [];
  const data = context.getImageData(0, 0, side, side).data;
  for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) { // the mean of each pixel's area
    let sum = 0, count = 0;
    for (let y = Math.floor((r * side) / height); y < ((r + 1) * side) / height; y++) for (let x = Math.floor((c * side) / width); x < ((c + 1) * side) / width; x++) { sum += data[4 * (y * side + x)]; count++; }
    found.push(Math.round((1000 * sum) / count / 255) / 1000);
  }
  return found;
}

async function look() {
  if (!state.built || state.built.data.kind !== "images" || (!drawn && chosen === null)) return;
  if (busy) { again = true; return; }
  busy = true;
  try {
    answer = await ask("draw", drawn ? { image: values() } : { row: state.built.data.rows[chosen] });
    state.look = answer;
    emit("look");
    results();
  } catch { /* the network changes meanwhile: the next look shows it */ } finally {
    busy = false;
    if (again) { again = false; look(); }
  }
}

function results() {
  const data = state.built.data, size = data.size;
  const bars = $("bars"), maps = $("maps");
  if (!bars || !answer) return;
  const order = answer.probabilities.map((p, i) => [p, i]).sort((a, b) => b[0] - a[0]).slice(0, 10);
  if (data.classes.length <= 10) order.sort((a, b) => a[1] - b[1]);
  bars.replaceChildren(...order.map(([p, i]) => {
    const bar = el("i");
    bar.style.width = `${(100 * p).toFixed(1)}%`;
    return el("div", { class: i === answer.chosen ? "bar best" : "bar" }, el("span", {}, data.classes[i]), el("span", { class: "track" }, bar), el("output", {}, `${(100 * p).toFixed(1)} %`));
  }));
  $("seen").replaceChildren(
    figure(t("seen"), picture(bytes(answer.image), size)), figure(t("saliency"), signed(answer.saliency, size)));
  maps.replaceChildren(...answer.maps.flatMap((layer) => [
    ...(layer.kernels ? [strip(t("kernels", layer.name), layer.kernels, layer.kernelSize)] : []),
    strip(t("mapsOf", layer.name), layer.maps, layer.size)]));
}

const figure = (words, canvas) => el("figure", {}, canvas, el("figcaption", {}, words));
const strip = (words, all, size) => el("div", { class: "strip" }, el("h3", {}, words), el("div", { class: "tiles" }, ...all.map((one) => signed(one, size))));

function layout() {
  const place = $("image-part"), data = state.built?.data;
  place.hidden = data?.kind !== "images";
  if (place.hidden) { $("maps").replaceChildren(); return; }
  pad.setAttribute("aria-label", t("padLabel"));
  refill(place,
    el("p", { class: "note" }, t("drawHere")),
    el("div", { class: "drawing" }, pad, el("div", { id: "bars", class: "bars" })),
    el("div", { class: "row" }, el("button", { type: "button", id: "clear-pad", onclick: () => { clear(); answer = null; layout(); } }, t("clearPad"))),
    el("div", { id: "seen", class: "seen" }),
    el("h3", {}, t("orChoose")),
    el("div", { class: "thumbs" }, ...data.images.slice(0, 20).map((image, i) => el("button", {
      type: "button", "aria-label": t("imageOf", data.classes[data.labels[i]]), title: data.classes[data.labels[i]],
      onclick: () => { clear(); chosen = i; look(); },
    }, picture(bytes(image), data.size)))));
  show();
  results();
}

function at(event) {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
}
let last = null;
pad.addEventListener("pointerdown", (event) => { byKeys = false; pad.setPointerCapture(event.pointerId); last = at(event); stroke(last, last); });
pad.addEventListener("pointermove", (event) => { if (!last) return; const now = at(event); stroke(last, now); last = now; });
for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { last = null; });
pad.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!move && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  byKeys = true;
  if (!move) { down = !down; if (down) stroke(pen, pen); show(); return; }
  const now = pen.map((v, i) => Math.max(8, Math.min(SIDE - 8, v + STEP * move[i])));
  if (down) stroke(pen, now);
  pen = now;
  show();
});

let due = 0;
on("built", () => { if (built !== state.built.data.size?.join()) { built = state.built.data.size?.join(); clear(); chosen = 0; } answer = state.look = null; layout(); look(); });
on("frame", () => { if (state.built?.data.kind === "images" && (!state.running || performance.now() - due > 400)) { due = performance.now(); look(); } });
on("words", layout);
clear();
