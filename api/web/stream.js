// Requests and the event stream. The stream runs over fetch because an EventSource cannot send a key.
const KEY = "potwatt-key";
const RETRY_MS = [1000, 2000, 5000, 10000, 15000];

export class KeyWanted extends Error {}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export const keepKey = (key) => sessionStorage.setItem(KEY, key);

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  if (answer.status === 401) throw new KeyWanted();
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

export const getJson = async (path) => (await ask(path)).json();
export const getText = async (path) => (await ask(path)).text();
export const postJson = async (path, body) => (await ask(path, {
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
})).json();

// Calls handlers[event](data) for each event until the page goes, handlers.defect(error) where that fails; connects again
// after every end or failure.
export async function listen(path, handlers) {
  for (let failures = 0; ; failures += 1) {
    try {
      const answer = await fetch(path, { headers: headers() });
      if (answer.status === 401) throw new KeyWanted();
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      await readEvents(answer.body, handlers, () => { failures = 0; });
    } catch (error) {
      if (error instanceof KeyWanted) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]); });
  }
}

async function readEvents(body, handlers, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end));
      text = text.slice(end + 2);
      if (found && handlers[found[1]]) {
        onEvent();
        try {
          handlers[found[1]](JSON.parse(found[2]));
        } catch (error) {
          console.error(error);
          handlers.defect(error);
        }
      }
    }
  }
}
