// Requests to /v1 of this origin, with the token of this tab, and the stream of events.

const KEY = "lapsed-token";
const RANKS = ["viewer", "operator", "admin"];

// Who the daemon takes this page for; `role` is null while it does not let it ask.
export const session = { principal: null, role: null };

// The token lives as long as the tab, and goes nowhere but into the Authorization header.
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  drop: () => sessionStorage.removeItem(KEY),
};

export const may = (role) => session.role !== null && RANKS.indexOf(session.role) >= RANKS.indexOf(role);

// A refusal of the daemon (RFC 9457), or no answer at all (`status` 0).
export class Problem extends Error {
  constructor(status, { code = "", detail, hint = null, allowed = [] }) {
    super(detail);
    Object.assign(this, { status, code, hint, allowed });
  }
}

// Where the page is: a proxy may have put it below a path of its own.
const BASE = new URL(".", document.baseURI);

// Called when a token that was shown is not valid (any more).
let onRefused = () => {};
export const whenRefused = (then) => { onRefused = then; };

async function send(method, path, { query = {}, body, headers = {}, signal } = {}) {
  const given = Object.entries(query).filter(([, value]) => ![undefined, null, "", false].includes(value));
  const search = new URLSearchParams(given).toString();
  const shown = token.get();
  let response;
  try {
    response = await fetch(new URL(path.slice(1) + (search && `?${search}`), BASE), {
      method,
      signal,
      body: body && JSON.stringify(body),
      headers: {
        ...headers,
        ...(body && { "content-type": "application/json" }),
        ...(shown && { authorization: `Bearer ${shown}` }),
      },
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { code: "no-answer", detail: "The daemon does not answer." });
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const problem = new Problem(response.status, { ...told, detail: told.detail ?? `The daemon answers ${response.status}.` });
  if (response.status === 401 && shown && shown === token.get()) onRefused(problem);
  throw problem;
}

const json = async (response) => {
  try {
    return await (await response).json();
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(0, { code: "no-answer", detail: "The answer of the daemon broke off." });
  }
};

export const get = (path, query, signal) => json(send("GET", path, { query, signal }));
export const post = (path, body) => json(send("POST", path, { body }));
export const patch = (path, body) => json(send("PATCH", path, { body }));
export const del = (path, query) => json(send("DELETE", path, { query }));

// Events of a stream of server-sent events: { id, data }.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const fields = frame.split("\n").map((line) => line.split(/: ?(.*)/s));
      const field = (name) => fields.filter(([key]) => key === name).map(([, value]) => value).join("\n");
      if (field("data")) yield { id: field("id"), data: JSON.parse(field("data")) };
    }
  }
}

const pause = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

// Follows events until `signal` is aborted or the daemon refuses: EventSource cannot send a token.
export async function follow({ signal, up, down, event }) {
  let last = null;
  for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 10_000)) {
    try {
      const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
      const response = await send("GET", "/v1/events", { headers, signal });
      wait = 500;
      up();
      for await (const { id, data } of events(response.body)) {
        last = id || last;
        event(data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) return down(error);
    }
    if (signal.aborted) return;
    down(null);
    await pause(wait, signal);
  }
}
