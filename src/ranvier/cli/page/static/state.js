// What the page shows: settings that you choose, the description of what the server built, and the latest frame.
import { ask } from "./api.js";

export const state = {
  settings: {
    data: "circles", count: 300, noise: 0.05, test: 0.3, placed: [], target: "",
    layers: [{ kind: "dense", units: 4, activation: "tanh" }, { kind: "dense", units: 3, activation: "tanh" }],
    loss: "", optimizer: "adam", rate: 0.01, penalty: "none", penalty_rate: 0.001, dropout: 0, batch: 16, seed: 0, output: 0,
  },
  built: null, frame: null, look: null, row: 0, running: false, run: null,
};
const listeners = { built: [], frame: [], look: [], row: [], words: [], tab: [], size: [], error: [] };

export const on = (event, listener) => listeners[event].push(listener);
export const emit = (event, value) => { for (const listener of listeners[event]) listener(value); };

let pending = null, building = Promise.resolve();
// New settings: the server makes data and network anew. Of changes that come quickly the last one counts.
export function change(settings, later = 0) {
  Object.assign(state.settings, settings);
  clearTimeout(pending);
  pending = setTimeout(() => { pending = null; building = building.then(rebuild); }, later);
}

// Shows another output of the model, which trains on as it is.
export async function showOutput(output) {
  await settled();
  const built = await ask("output", { output });
  Object.assign(state.settings, { output, loss: "" });
  state.built = built;
  state.frame = null;
  emit("built", built);
}

// Resolves when the network is that of the settings.
export async function settled() {
  while (pending !== null) await new Promise((resume) => { setTimeout(resume, 20); });
  await building;
}

async function rebuild() {
  if (pending !== null) return; // later settings are about to come
  try {
    const built = await ask("build", { settings: state.settings });
    state.built = built;
    state.frame = null;
    state.row = 0;
    state.running = false;
    emit("error", null);
    emit("built", built);
  } catch (error) {
    emit("error", error);
  }
}

// Does what may fail, and shows why it did.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    emit("error", error);
    return null;
  }
}
