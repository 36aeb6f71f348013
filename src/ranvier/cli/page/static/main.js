// The start of the page: the controls at the top, the tabs, keys, and the stream of frames.
import { ask, frames, open } from "./api.js";
import "./curves.js";
import { begin } from "./datasets.js";
import { $, announce, fmt, onScheme } from "./dom.js";
import "./exporting.js";
import "./histograms.js";
import "./images.js";
import "./network.js";
import "./plane.js";
import { attempt, change, emit, on, settled, state } from "./state.js";
import "./steps.js";
import { current, reason, setLanguage, t, translate } from "./words.js";

function showRunning() {
  $("run").setAttribute("aria-pressed", String(state.running));
  $("run-word").textContent = t(state.running ? "pause" : "run");
}

function showNow() {
  const frame = state.frame, task = state.built?.data.task;
  $("metric-word").textContent = t(task === "number" ? "mae" : "accuracy");
  $("now-epoch").textContent = frame ? (Number.isInteger(frame.epoch) ? String(frame.epoch) : frame.epoch.toFixed(frame.epoch < 10 ? 2 : 1)) : "0";
  $("now-loss").textContent = fmt(frame?.loss);
  $("now-test").textContent = fmt(frame?.testLoss);
  $("now-metric").textContent = frame && task !== "number" ? `${(100 * frame.testMetric).toFixed(1)} %` : fmt(frame?.testMetric);
}

// For those who do not see the numbers: where it stands when it stops, and that it trains.
function tellStatus() {
  if (state.running) announce(t("running"));
  else if (state.frame) announce(t("statusLine", ...["now-epoch", "now-loss", "now-test"].map((id) => $(id).textContent), $("metric-word").textContent, $("now-metric").textContent));
}

// What went wrong, until something goes well: a function that gives the words.
let wrong = null;
function showMessage(words) {
  wrong = words;
  $("message").textContent = words ? words() : "";
  $("message").hidden = !words;
}

const control = (action, value) => attempt(async () => {
  await settled();
  await ask("control", { action, value }); // the next frame says whether it trains
});

const actions = {
  run: async () => { await settled(); await control(state.running ? "pause" : "run"); },
  step: () => control("step"),
  epoch: () => control("epoch"),
  reset: () => change({}),
};
for (const name of Object.keys(actions)) $(name).addEventListener("click", actions[name]);
$("speed").addEventListener("change", () => control("speed", Number($("speed").value)));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const name = { ".": "step", e: "epoch", E: "epoch", r: "reset", R: "reset" }[event.key];
  const isSpace = event.key === " " && event.target.tagName !== "BUTTON";
  if (!name && !isSpace) return;
  event.preventDefault();
  actions[isSpace ? "run" : name]();
});

const tabs = [...document.querySelectorAll("[role=tab]")];
function choose(tab, focus) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  emit("tab");
  watch();
}
for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab, false));
  tab.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move) choose(tabs[(place + move + tabs.length) % tabs.length], true);
  });
}

function translateAll() {
  translate();
  for (const option of $("speed").options) option.textContent = Number(option.value) ? t("perSecond", option.value) : t("fastest");
}
$("language").value = current();
$("language").addEventListener("change", () => { setLanguage($("language").value); retranslate(); });
function retranslate() {
  translateAll();
  showRunning();
  showNow();
  showMessage(wrong);
  emit("words");
}

on("error", (error) => showMessage(error && (() => reason(error))));
on("frame", (frame) => {
  if (frame.type === "stopped") showMessage(() => t("diverged", reason(frame)));
  else showNow();
  showRunning();
  tellStatus();
});
on("built", (built) => {
  showNow();
  showRunning();
  if (early?.version === built.version) queueMicrotask(() => take(early));
});
onScheme(() => emit("words"));
addEventListener("resize", () => emit("size")); // a phone's keyboard does that, too: what is typed stays

// Frames of a network that is not drawn yet wait until it is. While the network trains a frame may lack parts that are
// dear to make: those of the frame before it stay.
let early = null;
function take(frame) {
  if (frame.type === "frame" && frame.version !== state.built?.version) {
    early = early?.version === frame.version ? { ...early, ...frame } : frame;
    return;
  }
  state.running = frame.type === "frame" && frame.running;
  if (frame.type === "frame") state.frame = { ...state.frame, ...frame };
  emit("frame", frame);
}

// Of a network that trains the server makes what is seen alone.
function watch() {
  const seen = document.hidden ? [] : ["scores", "plane", "rows", "weights"];
  if (seen.length && !$("view-histograms").hidden) seen.push("histograms");
  control("watch", seen);
}
document.addEventListener("visibilitychange", watch);

translateAll();
attempt(async () => {
  const { start, given } = await open();
  begin(start, given);
  const stream = frames(take);
  change(start);
  emit("words"); // what the command line gave is among the data
  await control("speed", Number($("speed").value));
  watch();
  await stream;
}).then(() => {
  state.running = false;
  showRunning();
  if (state.built) showMessage(() => t("ended"));
});
