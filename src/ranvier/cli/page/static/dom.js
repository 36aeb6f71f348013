// Small helpers for elements, colours and numbers.
export const $ = (id) => document.getElementById(id);

// An element with properties, attributes and children.
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  apply(node, options);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

const FOCUSABLE = "button, select, input, canvas, [tabindex]";
const keyOf = (node) => `${node.tagName} ${node.id || node.dataset.setting || node.dataset.set || node.getAttribute("aria-label") || node.value || node.textContent}`;

// Puts new children in place of the old ones. The focus goes to the one that is like that which had it.
export function refill(place, ...children) {
  const before = place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...children);
  if (!before || place.contains(before)) return;
  const all = [...place.querySelectorAll(FOCUSABLE)];
  (all.find((node) => keyOf(node) === keyOf(before)) ?? all.find((node) => node.tabIndex === 0))?.focus({ preventScroll: true });
}

export function svg(tag, options = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function apply(node, options) {
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name in node && !name.startsWith("aria")) node[name] = value;
    else node.setAttribute(name, value);
  }
}

// What a screen reader says, once.
export function announce(words) {
  if ($("status").textContent !== words) $("status").textContent = words;
}

// A number with four significant digits.
export function fmt(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace("e+", "e").replace("-", "−").replace("e-", "e−");
  const text = String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−");
}

let known = {};
// A colour of the style sheet, as text.
export function colour(name) {
  known[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return known[name];
}
export const classColour = (i) => colour(`c${i % 10}`);

// The same as [red, green, blue].
export function rgb(name) {
  const text = colour(name);
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

// Calls `redraw` when the scheme of colours changes.
export function onScheme(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { known = {}; redraw(); });
}

// A canvas in the pixels of the screen; returns its context, scaled to CSS pixels.
export function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Fills a canvas of size x size with values from 0 to 255 around the middle: one colour below it, another above.
export function diverging(canvas, values, width, height = width) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const low = rgb("neg"), high = rgb("pos"), middle = rgb("panel");
  for (let i = 0; i < values.length; i++) {
    const t = (values[i] - 127.5) / 127.5;
    const end = t < 0 ? low : high, share = Math.min(1, Math.abs(t));
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = middle[k] + (end[k] - middle[k]) * share;
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
