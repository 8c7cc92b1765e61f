// What needs a person, what lapses next, and how it went.

import { del, get, may, post, session } from "./api.js";
import { chart, meter } from "./chart.js";
import {
  button, bytes, card, count, details, dialog, duration, field, fill, forRole, h, input, many, path, pill, prose, select, table, time, visible, who,
} from "./dom.js";
import { RANGES, ahead, day, hour, past, shortHour } from "./series.js";

export const title = "Overview";

const FEED_MAX = 12;
// Of a limit by owner, there are up to a hundred.
const LIMITS_MAX = 5;
// The forecast and the samples change slowly.
const FORECAST_EVERY = 60_000;

const sum = (list, value) => list.reduce((total, one) => total + value(one), 0);

// Chooses one of `options`, all of which are seen.
function choice(label, options, chosen, then) {
  const group = h("div", { class: "choice", role: "group", "aria-label": label });
  const press = (value) => {
    for (const one of group.children) one.setAttribute("aria-pressed", String(one.value === value));
  };
  group.append(...Object.entries(options).map(([value, text]) => button(
    text, () => { press(value); then(value); }, { value, "aria-pressed": String(value === chosen) }
  )));
  return group;
}

export async function release(root, page) {
  const evidence = await get("/v1/breaker");
  const trips = evidence.tripped.filter((trip) => !root || trip.root === root);
  const orphans = evidence.orphans.filter((trip) => !root || trip.root === root);
  await dialog(root ? `Release the breaker of ${root}?` : "Release the breakers?", [
    trips.map((trip) => h(
      "p", null, `In ${visible(trip.root)}, ${count(trip.due)} of ${many(trip.of, trip.what.replace(/s$/, ""))} became due at once, `, time(trip.at),
      ". Everything due before that is held."
    )),
    orphans.map((trip) => h("p", null, prose(trip.why))),
    h("p", null, h("strong", null, "After the release they are removed."), " Look first at what that is: Clean lists it."),
  ], { action: "Release", danger: true, act: async () => { await post("/v1/breaker/release", root ? { root } : {}); page.now(); } });
}

export const endPause = (pause, page) => dialog("End the pause?", [
  h("p", null, `Removals ${pause.root ? `from ${visible(pause.root)} ` : ""}go on at once. ${visible(pause.who)} paused them: “${prose(pause.why)}”.`),
], { action: "End the pause", act: async () => { await del("/v1/pause", { root: pause.root }); page.now(); } });

export const beginPause = (page, roots) => dialog("Pause removals", [
  h("p", { class: "quiet" }, "Nothing is removed until the pause ends. It ends by itself."),
  field("For", input("for", { value: "2h", required: true, pattern: "[0-9a-z ]+", title: "a duration such as 2h" })),
  field("Why", input("why", { required: true, placeholder: "the backup is restored" })),
  field("Root", select("root", [["", "all roots"], ...roots])),
], { action: "Pause", act: async ({ root, ...order }) => { await post("/v1/pause", { ...order, ...(root && { roots: [root] }) }); page.now(); } });

// What needs a person: kind, text, and what can be done.
function attention(status, page) {
  const found = [];
  const add = (key, kind, text, why, action) => found.push({ key, kind, text, why, action });
  const roots = [...status.breaker.tripped, ...status.breaker.orphans];
  for (const trip of roots) {
    const text = trip.why
      ? `The breaker holds orphans${trip.root ? ` of ${trip.root}` : ""}`
      : `The breaker of ${trip.root} has tripped: ${count(trip.due)} of ${many(trip.of, trip.what.replace(/s$/, ""))} became due at once`;
    add(
      `trip-${trip.root}-${trip.source}`, "bad", text, trip.why ?? "Everything due before that is held until an admin releases it.",
      ["Release…", "admin", () => release(trip.root, page)]
    );
  }
  for (const pause of status.pauses) add(
    `pause-${pause.root}`, "warn", `Removals ${pause.root ? `from ${pause.root} ` : ""}are paused`, `${pause.who}: ${pause.why}`,
    ["End…", "admin", () => endPause(pause, page), pause.until]
  );
  for (const source of status.sources) {
    if (source.state === "down") add(`source-${source.name}`, "bad", `The source ${source.name} cannot be read`, source.why);
    if (source.refused_records) add(`records-${source.name}`, "warn", `${source.name} refuses ${many(source.refused_records, "record")}`, source.last_error);
    if (source.refused_claims) add(
      `claims-${source.name}`, "warn",
      `${many(source.refused_claims.claims, "claim")} of ${source.name} ${source.refused_claims.claims === 1 ? "is" : "are"} refused`,
      source.refused_claims.why
    );
  }
  for (const root of status.roots) {
    if (["missing", "unreachable"].includes(root.phase)) add(`root-${root.name}`, "bad", `The root ${root.name} is ${root.phase}`, root.why);
  }
  for (const limit of status.limits) {
    if (limit.state === "unmet" || limit.state === "held") add(
      `limit-${limit.root}-${limit.rule}-${limit.owner}`, "warn", `The limit of ${limit.rule ?? limit.root} is exceeded and cannot be met`,
      limit.why ?? "nothing more may be removed now"
    );
  }
  for (const receiver of status.receivers) {
    if (receiver.error || receiver.given_up) add(
      `notify-${receiver.name}-${receiver.channel}`, "warn", `${receiver.name} (${receiver.channel}) does not take notifications`,
      receiver.error ?? `${many(receiver.given_up, "notification")} given up`, ["Look…", "viewer", () => page.go("system")]
    );
  }
  if (status.configuration.failed) add("reload", "bad", "The last reload of the configuration failed", status.configuration.failed.error);
  if (status.ledger.why) add("ledger", "bad", "The ledger cannot be written: nothing is removed", status.ledger.why);
  if (status.cache.state === "failing") add("cache", "bad", "The cache cannot be written: nothing is removed", status.cache.why);
  if (status.watches.missing) {
    const text = `${many(status.watches.missing, "directory has", "directories have")} no watch`;
    add("missing", "warn", text, "They are listed on a timer: raise fs.inotify.max_user_watches.");
  }
  for (const { address, tls } of status.http) {
    if (tls?.warnings.length) add(`tls-${address}`, "warn", `The certificate of ${address}`, tls.warnings.join("; "));
  }
  if (!status.watches.alive) add("watches", "bad", "The watcher has ended: changes are not noticed any more", "Restart the daemon.");
  return found;
}

const attentionList = (page) => (found) => h("ul", { class: "attention" }, found.map(({ key, kind, text, why, until }) => {
  const action = page.actions.get(key);
  return h("li", { class: kind }, h(
    "div", null, h("strong", null, prose(text)), why && h("span", { class: "quiet" }, prose(why)),
    until && h("span", { class: "quiet" }, "ends ", time(until))
  ),
    action && forRole(may(action[1]), action[1], action[0], action[2], { "data-key": key }));
}));

const tile = (label, value, more) => h(
  "div", { class: "tile" }, h("span", { class: "label" }, label), h("strong", null, value), h("span", { class: "quiet" }, more)
);

function tiles({ entries, size, due, waits, lateness, today }) {
  const waiting = [waits.asked, waits.named, waits.scheduled];
  return [
    tile("Files", count(entries), bytes(size)),
    tile("Due now", count(due.files), due.files ? `${bytes(due.bytes)}${due.ends ? "" : ", held or about to go"}` : "nothing is late"),
    tile("Wait to be asked", count(sum(waiting, (one) => one.files)), waits.next ? ["next ", time(waits.next)] : bytes(sum(waiting, (one) => one.bytes))),
    tile("Removed today", count(today.files), `${bytes(today.bytes)} freed`),
    tile(
      "Lateness, p99", lateness.count ? duration(lateness.p99_ms) : "–",
      lateness.count ? `at most ${duration(lateness.max_ms)}, since the start` : "nothing was removed since the start"
    ),
  ];
}

const limitName = (of) => visible(`${of.rule ?? "whole root"}${of.owner ? ` of ${of.owner}` : ""}`);

function limits(of) {
  const name = limitName(of);
  return [
    of.max_size !== null && meter(`${name}: size`, of.bytes, of.max_size, `${bytes(of.bytes)} of ${bytes(of.max_size)}`),
    of.max_files !== null && meter(`${name}: files`, of.files, of.max_files, `${count(of.files)} of ${count(of.max_files)}`),
    of.min_free !== null && of.free !== null && meter(`${name}: free space`, of.min_free, of.free, `${bytes(of.free)} free, at least ${bytes(of.min_free)}`),
    of.min_free_inodes !== null && of.free_inodes !== null && meter(
      `${name}: free inodes`, of.min_free_inodes, of.free_inodes, `${count(of.free_inodes)} free, at least ${count(of.min_free_inodes)}`
    ),
  ].filter(Boolean);
}

function rootCard({ root, limits: own, held }) {
  const used = root.space && root.space.size_bytes - root.space.available_bytes;
  return [
    h(
      "div", { class: "row" }, h("h3", null, visible(root.name)),
      pill(root.phase, root.phase === "ready" ? "ok" : root.phase === "crawling" || root.phase === "reconciling" ? "busy" : "bad"),
      root.breaker && pill("breaker", "bad"), held && pill("paused", "warn")
    ),
    path(root),
    h("p", null, h("strong", null, bytes(root.bytes)), ` in ${many(root.entries, "file")}, ${many(root.dirs, "directory", "directories")}`),
    root.space && meter("File system", used, root.space.size_bytes, `${bytes(root.space.available_bytes)} free of ${bytes(root.space.size_bytes)}`),
    own.slice(0, LIMITS_MAX).flatMap(limits),
    own.length > LIMITS_MAX && details(
      `limits-${root.name}`, many(own.length - LIMITS_MAX, "further limit"), () => own.slice(LIMITS_MAX).flatMap(limits)
    ),
    details(`rules-${root.name}`, many(root.rules.filter((one) => one.rule).length, "rule"), () => table(
      `Rules of ${root.name}`, ["Rule", "Removes", "#Files", "#Size", "#Due"],
      root.rules.filter((one) => one.rule || one.files).map((one) => [
        one.rule ? visible(one.rule) : "no rule: kept", one.trigger ?? "–", count(one.files), bytes(one.bytes), count(one.due.files)
      ])
    )),
  ];
}

function feedLine(event) {
  const texts = {
    lapsed: () => [`${event.result ?? "removed"} `, path(event.job ? `job ${event.job}` : event), event.rule ? ` by ${event.rule}` : ""],
    held: () => ["held ", path(event), ` – ${event.why}`],
    run: () => [`run ${event.run}: ${event.status}, ${many(event.files, "file")}, by ${who(event.by)}`],
    root: () => [`root ${event.root}: ${event.what}`],
    source: () => [`source ${event.source}: ${event.what}`],
    tripped: () => [`breaker of ${event.root} tripped: ${count(event.due)} of ${count(event.of)}`],
    released: () => [`breaker of ${event.root} released by ${who(event.by)}`],
    paused: () => [`paused by ${event.who}: ${event.why}`],
    resumed: () => [`a pause ended: ${event.why}`],
    space: () => [`${event.root}: ${event.alert} ${event.is_crossed ? "is crossed" : "is over"}: ${bytes(event.bytes)}, threshold ${bytes(event.threshold)}`],
    clock: () => [`the clock jumped by ${duration(event.by_ms)}`],
  };
  const told = texts[event.event]?.() ?? [event.what ?? event.why ?? event.event];
  return h("li", null, event.at && h("span", { class: "quiet" }, time(event.at)), " ", told.map((one) => (typeof one === "string" ? visible(one) : one)));
}

export function view(page) {
  const headline = h("p", { class: "headline" });
  const next = h("p", { class: "quiet" });
  const needs = h("div");
  const numbers = h("div", { class: "tiles" });
  const upcoming = h("div");
  const rootsAt = h("div", { class: "roots" });
  const [removedAt, latenessAt, holdsAt] = [h("div"), h("div"), h("div")];
  const feed = h("ul", { class: "feed" }, h("li", { class: "quiet" }, "Waiting for something to happen."));
  const rootParts = new Map();
  let [span, measure, range] = ["hours", "files", "day"];
  let [forecast, before, asked] = [null, null, 0];
  let events = [];
  let feedTimer = null;

  const upcomingCard = card("What lapses next", { id: "next", actions: [
    choice("Time ahead", { hours: "24 hours", days: "30 days" }, span, (value) => { span = value; showForecast(); }),
    choice("Measure", { files: "Files", bytes: "Bytes" }, measure, (value) => { measure = value; showForecast(); showPast(); }),
  ] }, upcoming);
  const removedCard = card("Removed", { id: "removed", actions: [
    choice(
      "Time back", Object.fromEntries(Object.entries(RANGES).map(([value, { text }]) => [value, text])), range,
      (value) => { range = value; asked = 0; page.now(); }
    ),
  ] }, removedAt);
  const latenessCard = card("Lateness", { id: "lateness" }, latenessAt);
  const format = () => (measure === "bytes" ? { format: bytes, isBytes: true } : { format: (n) => count(Math.round(n)) });

  function showForecast() {
    const isHours = span === "hours";
    fill(upcoming, [forecast[span], forecast.overdue, measure], ([list, overdue]) => [
      h(
        "p", null, h("strong", null, many(sum(list, (one) => one.files), "file")),
        `, ${bytes(sum(list, (one) => one.bytes))}, within ${isHours ? "24 hours" : "30 days"}`,
        overdue.files > 0 && `; ${count(overdue.files)} of them held, or about to go`
      ),
      chart({
        label: `${measure === "files" ? "Files" : "Bytes"} that lapse`, ...format(), key: "forecast",
        points: list.map(({ [measure]: value, from }) => ({ value, label: isHours ? hour(from) : day(from), short: isHours ? shortHour(from) : day(from) })),
      }),
    ]);
  }

  function showPast() {
    const { steps } = before;
    const points = (value) => steps.map((step) => ({ value: value(step) ?? null, label: step.label, short: step.short }));
    const line = (label, key, value, more) => chart({ label, kind: "line", points: points(value), key, ...more });
    fill(removedAt, [steps.map((step) => step[measure]), measure, range], () => chart({
      label: `${measure === "files" ? "Files" : "Bytes"} removed`, points: points((step) => step[measure]), ...format(), key: "removed"
    }));
    fill(latenessAt, [steps.map((step) => step.late), range], () => chart({
      label: "Lateness, p99", points: points((step) => step.late), format: duration, key: "lateness"
    }));
    for (const [name, { over }] of rootParts) {
      const ofRoot = (list) => (list ?? []).filter((one) => one.root === name);
      const size = (step) => ofRoot(step.roots)[0]?.bytes;
      const full = ofRoot(steps.at(-1).limits);
      const part = (of) => (step) => ofRoot(step.limits).find((one) => one.rule === of.rule && one.owner === of.owner)?.part;
      over.hidden = steps.every((step) => size(step) === undefined);
      if (over.hidden) continue;
      fill(over, [steps.map((step) => [size(step), ofRoot(step.limits)]), range], () => [
        line(`Size of ${name}`, `size-${name}`, size, { format: bytes, isBytes: true }),
        full.length > 0 && details(`full-${name}`, "How full the limits were", () => full.map((of) => [
          h("p", { class: "quiet" }, limitName(of)),
          line(`${limitName(of)}, percent`, null, part(of), { format: (value) => `${count(Math.round(value * 100))} %` }),
        ])),
      ]);
    }
  }

  async function refreshSlow() {
    if (Date.now() - asked < FORECAST_EVERY) return;
    asked = Date.now();
    [forecast, before] = await Promise.all([ahead(), past(range)]);
  }

  async function refresh(status) {
    const found = attention(status, page);
    page.actions = new Map(found.filter((one) => one.action).map((one) => [one.key, one.action]));
    fill(
      headline, [status.health, found.length],
      () => (found.length ? `${many(found.length, "thing needs", "things need")} attention.` : {
        ready: "Everything goes on time.", reconciling: "The roots are being read.", holding: "Something is due and held."
      }[status.health] ?? status.health)
    );
    fill(
      next, status.next,
      (of) => (of ? [
        "Next: ", of.path ? path(of) : "a deadline", " ", time(of.deadline)
      ] : status.has_deadlines ? "Something is due now." : "No file has a deadline.")
    );
    fill(
      needs, [found.map(({ key, kind, text, why, action }) => ({ key, kind, text, why, until: action?.[3] })), session.role],
      ([list]) => (list.length ? attentionList(page)(list) : [])
    );
    fill(
      holdsAt, status.holds,
      (holds) => table(
        "Held", ["Reason", "#Entries", "Meaning, and what ends it", "Example", ""],
        holds.map((one) => [
          one.code, count(one.count), prose(one.why), one.example ? path(one.example) : "–",
          button("Show", () => page.go("files", { hold: one.code }), { "aria-label": `Show files held by ${one.code}`, "data-key": `hold-${one.code}` })
        ]),
        "Nothing is held."
      )
    );
    for (const [name, { now }] of rootParts) {
      if (status.roots.some((root) => root.name === name)) continue;
      now.parentElement.remove();
      rootParts.delete(name);
    }
    for (const root of status.roots) {
      if (!rootParts.has(root.name)) {
        const parts = { now: h("div"), over: h("div", { hidden: true }) };
        rootParts.set(root.name, parts);
        rootsAt.append(h("article", { class: "root", "aria-label": `Root ${root.name}` }, parts.now, parts.over));
      }
      const { reconciliation, ...shown } = root;
      fill(
        rootParts.get(root.name).now,
        {
          root: shown, limits: status.limits.filter((limit) => limit.root === root.name),
          held: status.pauses.some((pause) => pause.root === null || pause.root === root.name)
        },
        rootCard
      );
    }
    if (!events.length) await recall();
    await refreshSlow();
    const { entries, bytes: size, due, waits, lateness } = status;
    fill(numbers, { entries, size, due, waits, lateness, today: before.today }, tiles);
    showForecast();
    showPast();
  }

  // What was there before the stream of events began.
  async function recall() {
    const { removals } = await get("/v1/history", { limit: FEED_MAX });
    if (events.length) return;
    events = removals.map((line) => ({ ...line, event: "lapsed", job: line.unit === "job" ? line.owner : null }));
    if (events.length) feed.replaceChildren(...events.map(feedLine));
  }

  function event(told) {
    events = [told, ...events].slice(0, FEED_MAX);
    feedTimer ??= setTimeout(() => {
      feedTimer = null;
      feed.replaceChildren(...events.map(feedLine));
    }, 500);
    if (told.event === "run" || told.event === "lapsed") asked = Math.min(asked, Date.now() - FORECAST_EVERY + 5000);
  }

  const node = h("div", { class: "grid" },
    h("section", { class: "wide hero", "aria-label": "State" }, headline, next, needs),
    numbers, upcomingCard, removedCard, card("Roots and limits", { wide: true, id: "roots" }, rootsAt), latenessCard,
    card("Live", { id: "live" }, feed), card("Holds", { wide: true, id: "holds" }, holdsAt));
  return { node, refresh, event };
}
