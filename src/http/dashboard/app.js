// The page: session, connection, views. Everything that it shows is asked of /v1.

import { follow, get, session, token, whenRefused } from "./api.js";
import { button, count, dialog, failure, field, form, h, input, pill, updateTimes, visible, who } from "./dom.js";
import * as clean from "./clean.js";
import * as files from "./files.js";
import * as history from "./history.js";
import * as overview from "./overview.js";
import * as system from "./system.js";

const VIEWS = { overview, files, clean, history, system };
// After events at most this often, and without any this seldom, while the page is seen.
const [SOON, SELDOM] = [2000, 10_000];

const at = (id) => document.getElementById(id);
let shown = null; // The view: { name, node, refresh, event }.
let status = null; // The last answer of /v1/status.
let last = 0;
let timer = null;
let running = false;
let wanted = false;
let forced = false; // Something was ordered: everything is asked again.
let following = null;

const page = {
  status: () => status,
  soon: () => schedule(SOON),
  now: () => { forced = true; refresh(); },
  // Filters of the view, as the address has them, so that they can be sent to others.
  filters: () => Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? "")),
  go: (name, filters = {}) => {
    const search = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
    location.hash = name + (search && `?${search}`);
  },
};

function notice(key, content, kind = "") {
  const known = [...at("notices").children].find((one) => one.dataset.of === key);
  if (!content) return known?.remove();
  if (known?.textContent === content.textContent) return;
  const node = h("div", { class: `notice ${kind}`, "data-of": key }, content);
  known ? known.replaceWith(node) : at("notices").append(node);
}

function schedule(within) {
  const due = Math.max(last + within, Date.now() + 50);
  if (timer?.due <= due) return;
  clearTimeout(timer?.id);
  timer = { due, id: setTimeout(() => { timer = null; refresh(); }, due - Date.now()) };
}

async function refresh() {
  if (!session.role || document.hidden) return;
  if (running) {
    wanted = true;
    return;
  }
  running = true;
  const [view, isForced] = [shown, forced];
  forced = false;
  try {
    status = await get("/v1/status");
    last = Date.now();
    showHealth();
    await shown?.refresh(status, isForced);
    updateTimes();
    notice("failure", null);
    notice("lost", null);
  } catch (problem) {
    if (problem.status === 0) lost();
    else if (problem.status === undefined) throw problem;
    else if (problem.status !== 401) notice("failure", failure(problem), "bad");
  } finally {
    running = false;
    schedule(wanted ? SOON : SELDOM);
    wanted = false;
    // Another view does not wait.
    if (shown !== view) refresh();
  }
}

const HEALTH = { ready: "ok", reconciling: "busy", holding: "warn", offline: "bad" };

function showHealth() {
  at("health").className = `pill ${HEALTH[status.health] ?? "warn"}`;
  at("health").textContent = status.health;
  document.title = status.health === "ready" ? `lapsed – ${location.host}` : `${status.health} – lapsed – ${location.host}`;
  const mode = { live: "", shadow: "shadow mode: it removes nothing", "dry-run": "dry run: it removes nothing" }[status.mode] ?? status.mode;
  notice("mode", mode && h("p", null, `This daemon runs in ${mode}.`), "warn");
  at("foot").replaceChildren(`lapsed ${status.version} · ${count(status.entries)} files watched · `, h("a", { href: "docs" }, "API"));
}

function lost() {
  at("health").className = "pill bad";
  at("health").textContent = "no answer";
  document.title = `no answer – lapsed – ${location.host}`;
  notice("lost", h("p", null, "The daemon does not answer. What is shown may be out of date; this page tries again by itself."), "bad");
}

function show() {
  const name = location.hash.slice(1).split("?")[0];
  const chosen = Object.hasOwn(VIEWS, name) ? name : "overview";
  for (const link of at("nav").children) {
    if (link.dataset.view === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown?.name === chosen && shown.filtered) return shown.filtered();
  const moved = shown !== null;
  shown = { name: chosen, ...VIEWS[chosen].view(page) };
  at("main").replaceChildren(h("h1", { class: "unseen" }, VIEWS[chosen].title), shown.node);
  if (moved) {
    scrollTo(0, 0);
    at("main").focus({ preventScroll: true });
  }
  refresh();
}

function connect() {
  following?.abort();
  following = new AbortController();
  const { signal } = following;
  let wasLost = false;
  follow({
    signal,
    up: () => {
      notice("lost", null);
      if (wasLost) enter();
      else refresh();
    },
    down: (problem) => {
      if (problem) return;
      wasLost = true;
      lost();
    },
    event: (event) => {
      shown?.event?.(event);
      schedule(SOON);
    },
  });
}

function showSession() {
  const name = session.principal === "anonymous" ? "anonymous" : who(session.principal);
  at("session").replaceChildren(
    session.role ? h("span", { class: "who" }, visible(name), " ", pill(session.role)) : "",
    token.get()
      ? button("Log out", () => { token.drop(); enter(); })
      : session.role ? button("Log in", () => dialog("Log in", loginFields(), { action: "Log in", act: logIn })) : "");
  at("nav").hidden = !session.role;
}

const loginFields = () => [
  h(
    "p", { class: "quiet" }, "The token stays in this tab, and is forgotten when it is closed. ",
    h("code", null, "lapsed token new --role operator --name me"), " makes one."
  ),
  field("Token", input("token", { type: "password", required: true, autocomplete: "off" })),
];

async function logIn({ token: text }) {
  const before = token.get();
  token.set(text.trim());
  try {
    await enter({ keep: true });
  } catch (problem) {
    if (before) token.set(before);
    else token.drop();
    throw problem;
  }
}

function askForToken(problem) {
  const result = h("div", null, problem && failure(problem));
  const submit = h("button", { type: "submit", class: "primary" }, "Log in");
  at("main").replaceChildren(h("section", { class: "card login", "aria-label": "Log in" }, h("h1", null, "Log in"),
    form((values) => {
      submit.disabled = true;
      logIn(values).catch((refused) => result.replaceChildren(failure(refused))).finally(() => { submit.disabled = false; });
    }, loginFields(), result, h("div", { class: "actions" }, submit))));
  shown = null;
}

// Asks who this page is, and shows what that one may see. With `keep`, a refusal changes nothing.
async function enter({ keep = false } = {}) {
  try {
    Object.assign(session, await get("/v1/whoami"));
  } catch (problem) {
    if (keep) throw problem;
    following?.abort();
    if (problem.status === 0) {
      lost();
      setTimeout(enter, SOON);
      return;
    }
    Object.assign(session, { principal: null, role: null });
    showSession();
    notice("lost", null);
    askForToken(problem);
    return;
  }
  notice("refused", null);
  notice("lost", null);
  showSession();
  shown = null;
  show();
  connect();
}

whenRefused((problem) => {
  if (!session.role) return;
  token.drop();
  Object.assign(session, { principal: null, role: null });
  notice("refused", h("p", null, `You are logged out: ${visible(problem.message)}.`), "bad");
  enter();
});

at("nav").append(...Object.entries(VIEWS).map(([name, { title }]) => h("a", { href: `#${name}`, "data-view": name }, title)));
addEventListener("hashchange", () => session.role && show());
// A page that nobody sees asks for nothing, and leaves its connection to others: a browser has six for one host.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) following?.abort();
  else if (session.role) connect();
});
setInterval(() => document.hidden || updateTimes(), 15_000);
enter();
