// What you take with you: the network as a program in three vocabularies, and the trained model as a file.
import { ask, download } from "./api.js";
import { $, el, refill } from "./dom.js";
import { attempt, on, state } from "./state.js";
import { current, reason, t } from "./words.js";

const LIBRARIES = [["ranvier", "Ranvier"], ["keras", "Keras"], ["torch", "PyTorch"]];
let library = "ranvier", code = "", lacking = null; // in place of a program: why there is none

function show() {
  const place = $("view-export");
  if (place.hidden || !state.built) return;
  const choices = el("div", { class: "row", role: "radiogroup", "aria-label": t("program") }, ...LIBRARIES.map(([name, shown]) => {
    const input = el("input", { type: "radio", name: "library", value: name, checked: name === library, onchange: () => { library = name; load(); } });
    return el("label", { class: "inline" }, input, shown);
  }));
  refill(place,
    el("h3", {}, t("program")), choices,
    ...(lacking ? [el("p", { id: "no-code" }, reason(lacking))] : [el("pre", { class: "code", id: "code", tabIndex: 0 }, code),
      el("div", { class: "row" }, el("button", { type: "button", id: "copy", onclick: copy }, t("copy")))]),
    el("h3", {}, t("modelFile")), el("p", { class: "note" }, t("modelNote")),
    el("div", { class: "row" }, ...[".ranvier", ".keras", ".onnx"].map((format) => el("button", { type: "button", "data-format": format, onclick: () => save("model", { format }, `model${format}`) }, `model${format}`))),
    el("h3", {}, t("report")), el("p", { class: "note" }, t("reportNote")),
    el("div", { class: "row" }, el("button", { type: "button", id: "report", onclick: () => save("report", { lang: current() }, "report.html") }, "report.html")),
    ...(state.run && state.settings.data === "given" ? [el("h3", {}, t("runReport")), el("p", { class: "note" }, t("runReportNote")),
      el("div", { class: "row" }, el("button", { type: "button", id: "run-report", onclick: () => save("report", { lang: current(), of: "run" }, "run-report.html") }, "run-report.html"))] : []));
}

async function load() {
  const answer = await attempt(() => ask("code", { library }));
  code = answer ? answer.code : "";
  lacking = answer?.error ? answer : null;
  show();
}

async function copy() {
  await navigator.clipboard.writeText(code);
  $("copy").textContent = t("copied");
}

const save = (what, message, name) => attempt(async () => {
  const url = URL.createObjectURL(await download(what, message));
  const link = el("a", { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
});

on("built", () => { code = ""; lacking = null; if (!$("view-export").hidden) load(); });
for (const event of ["words", "tab"]) on(event, () => { if (!$("view-export").hidden && !code && !lacking && state.built) load(); else show(); });
