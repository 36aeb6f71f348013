// Histograms of the outputs of each layer, and of the gradients of its weights.
import { $, colour, el, fmt, svg } from "./dom.js";
import { on, state } from "./state.js";
import { t } from "./words.js";

function bars(found, name) {
  const most = Math.max(1, ...found.counts), width = 200, height = 46, step = width / found.counts.length;
  const picture = svg("svg", { viewBox: `0 0 ${width} 60`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [i, count] of found.counts.entries()) {
    const tall = (height * count) / most;
    picture.append(svg("rect", { x: (i * step + 0.5).toFixed(2), y: (height - tall).toFixed(2), width: (step - 1).toFixed(2), height: tall.toFixed(2), fill: colour(name), rx: 1 }));
  }
  if (found.low < 0 && found.high > 0) {
    const zero = (width * -found.low) / (found.high - found.low);
    picture.append(svg("line", { x1: zero, x2: zero, y1: 0, y2: height, stroke: colour("muted"), "stroke-dasharray": "2 3" }));
  }
  return picture;
}

function figure(title, found, name) {
  return el("figure", {},
    el("figcaption", {}, title, el("span", {}, t("size", fmt(found.size, 3)))), bars(found, name),
    el("figcaption", {}, el("span", {}, fmt(found.low, 3)), el("span", {}, fmt(found.high, 3))));
}

let last = 0;
function show(force) {
  const place = $("view-histograms"), frame = state.frame;
  if (place.hidden || !frame?.histograms) return;
  const now = performance.now();
  if (force !== true && now - last < 90) return;
  last = now;
  const samples = Math.min(64, state.built.data.train);
  place.replaceChildren(
    el("p", { class: "note" }, t("histNote", samples)),
    el("div", { class: "hist" }, ...frame.histograms.flatMap((h) => [
      figure(t("activations", h.name), h.outputs, "pos"), figure(t("gradients", h.name), h.gradients, "neg")])));
}

on("frame", () => show(!state.running));
for (const event of ["words", "tab"]) on(event, () => show(true));
