// What is to come and what was, in even steps, for charts.

import { get } from "./api.js";

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];

// Ranges by their names: text, kind of the samples, length of a step and number of steps.
export const RANGES = {
  day: { text: "24 hours", by: "minute", step: 15 * MINUTE, steps: 96 },
  week: { text: "7 days", by: "minute", step: 2 * HOUR, steps: 84 },
  month: { text: "30 days", by: "day", step: DAY, steps: 30 },
  year: { text: "Year", by: "day", step: 5 * DAY, steps: 73 },
};

const clock = (at, options) => new Intl.DateTimeFormat("en", { hourCycle: "h23", ...options }).format(new Date(at));
export const hour = (at) => clock(at, { weekday: "short", hour: "2-digit", minute: "2-digit" });
export const shortHour = (at) => clock(at, { hour: "2-digit", minute: "2-digit" });
export const day = (at, options) => clock(at, { month: "short", day: "numeric", ...options });

// Names of a step, in full and for the scale. Days are those of UTC, as the daemon sums them up.
function labels(at, { by, step }) {
  if (by === "minute") return { label: hour(at), short: step < HOUR ? shortHour(at) : day(at) };
  const name = day(at, { timeZone: "UTC" });
  return { label: step === DAY ? name : `5 days from ${name}`, short: name };
}

const sum = () => ({ files: 0, bytes: 0 });
const add = (to, { files, bytes }) => {
  if (!to) return;
  to.files += files;
  to.bytes += bytes;
};

// What lapses by itself in each of the next 24 hours and 30 days; what is overdue counts in the first.
export async function ahead() {
  const { hours, groups } = await get("/v1/plan", { within: "30d" });
  const [days, overdue] = [[], sum()];
  hours.forEach((one, place) => {
    if (place % 24 === 0) days.push({ from: one.from, ...sum() });
    add(days.at(-1), one);
  });
  for (const group of groups) add(overdue, group.overdue);
  return { hours: hours.slice(0, 24), days, overdue };
}

// Removals by day are summed up for ever; everything else is sampled, and not where nothing changed.
export async function past(name) {
  const range = RANGES[name];
  const unit = range.by === "day" ? DAY : range.step;
  const end = Math.floor(Date.now() / unit + 1) * unit;
  const since = new Date(end - range.step * range.steps).toISOString();
  const [samples, totals] = await Promise.all([
    get("/v1/samples", { by: range.by, since }), get("/v1/stats", { by: "day", since: range.by === "day" ? since : new Date().toISOString() }),
  ]);
  const steps = Array.from({ length: range.steps }, (_, place) => {
    const at = Date.parse(since) + place * range.step;
    return { ...labels(at, range), ...sum(), late: null, roots: null, limits: null };
  });
  const stepOf = (at) => steps[Math.floor((Date.parse(at) - Date.parse(since)) / range.step)];
  const today = sum();
  for (const total of totals.totals) {
    if (range.by === "day") add(stepOf(total.day), total);
    if (total.day === new Date().toISOString().slice(0, 10)) add(today, total);
  }
  for (const sample of samples.samples) {
    const step = stepOf(sample.at);
    if (!step) continue;
    if (range.by === "minute") add(step, sample.removed);
    if (sample.late_ms !== null) step.late = Math.max(step.late ?? 0, sample.late_ms);
    Object.assign(step, { roots: sample.roots, limits: sample.limits });
  }
  // What is not sampled is as it was.
  steps.reduce((before, step) => {
    step.roots ??= before.roots;
    step.limits ??= before.limits;
    return step;
  });
  return { steps, today };
}
