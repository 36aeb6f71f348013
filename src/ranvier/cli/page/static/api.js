// Messages to the server. The token is in the address after "#", which browsers send nowhere.
const token = location.hash.slice(1) || sessionStorage.getItem("token") || "";
if (location.hash) {
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}
let session = "";

async function send(name, message) {
  return fetch(`/api/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify({ session, ...message }),
  });
}

// The error of an answer: in English, and in Chinese as its property.
async function refusal(response) {
  const text = await response.text();
  let words = { error: text || response.statusText };
  try { words = JSON.parse(text); } catch { /* plain text */ }
  return Object.assign(new Error(words.error), { chinese: words.chinese });
}

// The answer to a message. Throws an Error with the server's words if it refuses.
export async function ask(name, message = {}) {
  const response = await send(name, message);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export async function open() {
  const answer = await ask("open");
  session = answer.session;
  return answer;
}

// A file as the body of a message.
export async function upload(name, file) {
  const response = await fetch(`/api/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-Token": token, "X-Session": session, "X-Name": encodeURIComponent(file.name) },
    body: file,
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

// A file that the server makes.
export async function download(name, message) {
  const response = await send(name, message);
  if (!response.ok) throw await refusal(response);
  return response.blob();
}

// Calls `show` for each frame until the connection ends.
export async function frames(show) {
  const response = await send("frames", {});
  if (!response.ok) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) show(JSON.parse(line));
  }
}

// Bytes of base64.
export function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
}
