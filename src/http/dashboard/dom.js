// Elements, texts, tables and dialogs. Data becomes text nodes and attributes: nothing here parses markup.

// Makes an element. Properties that are functions listen; true sets an attribute; null, undefined and false leave it out.
export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Shows `data` in `at` by `build`, unless it is there already. Open details stay open, and the focus stays where it was.
export function fill(at, data, build) {
  const text = JSON.stringify(data);
  if (at.shownData === text) return;
  at.shownData = text;
  const key = at.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...at.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  at.replaceChildren(...[build(data)].flat(Infinity).filter(Boolean));
  for (const one of at.querySelectorAll("details")) one.open ||= open.has(one.dataset.key);
  if (key) [...at.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus();
}

const number = new Intl.NumberFormat("en");
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
export const count = (n) => number.format(n);
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  for (; Math.abs(n) >= 1024 && unit < units.length - 1; unit += 1) n /= 1024;
  return `${n >= 1000 ? number.format(Math.round(n)) : three.format(n)} ${units[unit]}`;
}

export function duration(ms) {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1000) return `${three.format(ms)} ms`;
  const steps = [[86_400_000, "d", 3_600_000, "h"], [3_600_000, "h", 60_000, "min"], [60_000, "min", 1000, "s"]];
  for (const [size, name, less, lesser] of steps) {
    if (ms < size) continue;
    const rest = Math.floor((ms % size) / less);
    return `${number.format(Math.floor(ms / size))} ${name}${rest && ms < 10 * size ? ` ${rest} ${lesser}` : ""}`;
  }
  return `${three.format(ms / 1000)} s`;
}

const full = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const relative = (at) => {
  const ms = at - Date.now();
  if (Math.abs(ms) < 1000) return "now";
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
};

// An instant: as distance from now, which is kept up to date, or as date and time. The other one is the title.
export function time(text, { exact = false } = {}) {
  if (!text) return "–";
  const at = new Date(text);
  const shown = exact ? full.format(at) : relative(at);
  return h("time", { datetime: text, title: exact ? text : full.format(at), "data-relative": !exact }, shown);
}

export function updateTimes() {
  for (const one of document.querySelectorAll("time[data-relative]")) one.textContent = relative(new Date(one.dateTime));
}

// Characters that are not seen, or turn the order of others around, as what they are.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;
export const visible = (text) =>
  text.replace(HIDDEN, (c) => (c === "\n" ? "\\n" : `\\u{${c.codePointAt(0).toString(16)}}`));
// A sentence of the daemon: its further lines follow on the same one.
export const prose = (text) => visible(text.replace(/\n\s*/g, "; "));
export const path = (of) => h("code", { class: "path", dir: "ltr" }, visible(typeof of === "string" ? of : of?.path ?? "–"));
export const names = (of) => (of.path_b64 ? { path_b64: of.path_b64 } : { path: of.path });

export const who = (by) => (typeof by === "string" ? by : Object.entries(by ?? {}).map((pair) => pair.join(" ")).join());
export const pill = (text, kind = "") => h("span", { class: `pill ${kind}` }, text);

// A table; on narrow screens each row is a card. `heads` that begin with "#" are of numbers.
export function table(caption, heads, rows, empty = "Nothing.") {
  if (!rows.length) return h("p", { class: "quiet" }, empty);
  const names = heads.map((head) => head.replace("#", ""));
  const kind = heads.map((head) => (head.startsWith("#") ? "number" : null));
  const cell = (content, at) => h("td", { role: "cell", class: content === "–" ? "none" : kind[at], "data-label": names[at] }, h("span", null, content));
  return h("table", { role: "table" },
    h("caption", null, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      names.map((name, at) => h("th", { role: "columnheader", scope: "col", class: kind[at] }, name || h("span", { class: "unseen" }, "Actions"))))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, row.map(cell)))));
}

// Details whose content is made when they are opened.
export function details(key, summary, make) {
  const open = () => node.open && node.childElementCount === 1 && node.append(...[make()].flat(Infinity).filter(Boolean));
  const node = h("details", { "data-key": key, toggle: open }, h("summary", { "data-key": `${key} summary` }, summary));
  return node;
}

export const card = (title, { actions = [], wide = false, id } = {}, ...content) =>
  h(
    "section", { class: wide ? "card wide" : "card", id, "aria-label": title },
    h("header", null, h("h2", null, title), h("div", { class: "actions" }, actions)), content
  );

export const button = (text, click, more) => h("button", { type: "button", click, ...more }, text);

// A button for `role`; others see it disabled, and why.
export function forRole(allowed, role, text, click, more) {
  if (allowed) return button(text, click, more);
  const why = `needs the role ${role}`;
  return h("span", { class: "denied" }, button(text, () => {}, { ...more, disabled: true, title: why }), h("small", null, why));
}

let made = 0;
export function field(label, input) {
  input.id ||= `field-${(made += 1)}`;
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
}
export const input = (name, more) => h("input", { name, autocomplete: "off", spellcheck: "false", ...more });
export const select = (name, options, chosen = "") => h("select", { name },
  options.map((one) => [one].flat()).map(([value, text = value]) => h("option", { value, selected: value === chosen }, text)));
export const check = (name, label, more) => h("label", { class: "check" }, h("input", { type: "checkbox", name, ...more }), label);
export const form = (submit, ...children) => h("form", {
  submit: (event) => {
    event.preventDefault();
    submit(Object.fromEntries(new FormData(event.target)), event.target);
  },
}, children);

// A failure, with what would help.
export const failure = (problem) => h("p", { class: "failure", role: "alert" },
  prose(problem.message), problem.allowed?.length ? ` Allowed: ${visible(problem.allowed.join(", "))}.` : "",
  problem.hint ? h("small", null, prose(problem.hint)) : null);

// Shows a dialog. `act` carries the form out: it may return nodes that are shown instead, and a failure is shown in place.
export function dialog(title, content, { action, act, danger = false, close = "Cancel" } = {}) {
  return new Promise((done) => {
    const result = h("div");
    // Enter destroys nothing by itself.
    const ends = button(action ? close : "Close", () => box.close(), { autofocus: danger });
    const submit = action && h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
    const body = form(async (values, of) => {
      submit.disabled = true;
      result.replaceChildren();
      try {
        const shown = await act(values, of);
        if (!shown) return box.close();
        body.replaceChildren(h("h2", null, title), h("div", null, shown), h("div", { class: "actions" }, ends));
        ends.textContent = "Close";
        ends.focus();
      } catch (problem) {
        result.replaceChildren(failure(problem));
        submit.disabled = false;
      }
    }, h("h2", null, title), content, result, h("div", { class: "actions" }, submit, ends));
    const box = h("dialog", { "aria-label": title, close: () => { box.remove(); done(); } }, body);
    document.body.append(box);
    box.showModal();
  });
}
