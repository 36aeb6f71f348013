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

// The answer to a message. Throws an Error with the server's words if it refuses.
export async function ask(name, message = {}) {
  const response = await send(name, message);
  const isJson = (response.headers.get("Content-Type") || "").includes("json");
  const answer = isJson ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
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
  const text = await response.text();
  if (!response.ok) {
    let words = text;
    try { words = JSON.parse(text).error; } catch { /* plain text */ }
    throw new Error(words);
  }
  return JSON.parse(text);
}

// A file that the server makes.
export async function download(name, message) {
  const response = await send(name, message);
  if (!response.ok) {
    const text = await response.text();
    let words = text;
    try { words = JSON.parse(text).error; } catch { /* plain text */ }
    throw new Error(words);
  }
  return response.blob();
}

// Calls `show` for each frame until the connection ends.
export async function frames(show) {
  const response = await send("frames", {});
  if (!response.ok) throw new Error(await response.text());
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
