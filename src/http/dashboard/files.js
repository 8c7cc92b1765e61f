// Search for files and jobs, why each is where it is, and pins.

import { del, get, may, patch, post, session } from "./api.js";
import {
  button, bytes, card, check, count, dialog, duration, failure, field, fill, form, forRole, h, input, names, path, pill, prose, select, table, time,
  visible
} from "./dom.js";

export const title = "Files";

const PAGE = 25;
// A search goes through all files.
const FIND_EVERY = 30_000;

// A word is looked for anywhere in a path; what has the signs of a pattern is one.
const glob = (text) => (!text ? null : /[*?[{]/.test(text) ? text : `**/*${text.replace(/[!\\]/g, "?")}*`);

const lifeFields = (why) => [
  field("For", input("for", { value: "7d", required: true, title: "a duration such as 7d or 12h" })),
  why && field("Why", input("why", { required: true, placeholder: "still needed" })),
];

export const pin = (target, text, page) => dialog("Pin", [h("p", null, "Keeps ", text, " until the pin ends."), lifeFields(true)], {
  action: "Pin", act: async (values) => { await post("/v1/pins", { ...target, ...values }); page.now(); },
});

// Explains a path, as `lapsed explain` does.
export async function explain(of, page) {
  const found = await get("/v1/explain", names(of));
  const facts = [
    ["Root", found.root], ["Rule", found.rule ?? "none: it is kept"], ["Size", found.size === null ? null : bytes(found.size)],
    ["Last change", found.mtime && time(found.mtime)], ["Deadline", found.deadline && time(found.deadline)], ["Goes", found.lapses_at && time(found.lapses_at)],
    ["Job", found.job && `${found.job.id} (${found.job.status ?? "unknown"})`],
  ].filter(([, value]) => value);
  await dialog("Explanation", [
    h("p", null, path(found)),
    found.text.map((line) => h("p", null, prose(line))),
    h("dl", null, facts.map(([name, value]) => [h("dt", null, name), h("dd", null, typeof value === "string" ? visible(value) : value)])),
    found.holds.length > 0 && h("ul", null, found.holds.map((hold) => h("li", null, h("strong", null, hold.code), ` ${prose(hold.why)}`))),
    may("operator") && h("div", { class: "actions" },
      found.pin ? button("Unpin", (event) => { event.target.closest("dialog").close(); unpin(found.pin, page); }) : button(
        "Pin…", (event) => { event.target.closest("dialog").close(); pin(names(found), path(found), page); }
      )),
  ]);
}

const unpin = (of, page) => dialog("Unpin?", [
  h("p", null, of.job ? `The job ${visible(of.job)}` : path(of), " lapses by its rule again. What is due then goes at once."),
  h("p", { class: "quiet" }, `${visible(of.who)}: ${prose(of.why)}`)
], {
  action: "Unpin", act: async () => { await del(`/v1/pins/${of.id}`); page.now(); },
});

const extend = (of, page) => dialog("Extend the pin", lifeFields(false), {
  action: "Extend", act: async (values) => { await patch(`/v1/pins/${of.id}`, values); page.now(); },
});

const state = (file) => [file.hold && pill(file.hold, "warn"), file.pin !== null && pill("pinned", "busy"), !file.rule && "kept"].filter(Boolean);

async function showJob(id, source, page) {
  const job = await get(`/v1/jobs/${encodeURIComponent(id)}`, { source });
  const facts = [
    "source", "kind", "status", "unknown_status", "unreadable", "error"
  ].filter((name) => job[name]).map((name) => [name.replace("_", " "), visible(String(job[name]))]);
  const times = [
    "created_at", "completed_at", "last_activity", "expires_at", "cleaned_at", "forgotten_at"
  ].filter((name) => job[name]).map((name) => [name.replace(/_at$|_/g, " "), time(job[name])]);
  await dialog(`Job ${visible(job.id)}`, [
    h("dl", null, [...facts, ...times].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
    table(
      "Claims", ["File", "State"],
      job.claims.map((claim) => [path(claim.path ? claim : claim.file), claim.why ? `${claim.state}: ${prose(claim.why)}` : claim.state]),
      "It claims no file by name."
    ),
    h("div", { class: "actions" },
      button("Show its files", (event) => { event.target.closest("dialog").close(); page.go("files", { job: job.id }); }),
      may("operator") && button(
        "Pin…",
        (event) => { event.target.closest("dialog").close(); pin({ job: job.id, source: job.source ?? undefined }, `the job ${visible(job.id)}`, page); }
      )),
  ]);
}

// Runs `then`, and shows in a dialog why it could not be done.
export const attempt = (then) => then().catch((problem) => dialog("This cannot be done", failure(problem)));

export function view(page) {
  const [results, jobs, pins, more, moreJobs] = [h("div"), h("div"), h("div"), h("div", { class: "actions" }), h("div", { class: "actions" })];
  const search = h("div");
  let filters = page.filters();
  let [files, cursor, asked, foundAt] = [[], null, 0, 0];

  const row = (file) => [
    path(file), file.size === null ? "–" : bytes(file.size), file.job ? button(
      visible(file.job), () => attempt(() => showJob(file.job, file.source, page)), { class: "link" }
    ) : "–",
    file.rule ? visible(file.rule) : "–", file.lapses_at ? time(file.lapses_at) : file.reason ?? "never", state(file),
    [button("Explain", () => attempt(() => explain(file, page)), { "data-key": `explain-${file.path}`, "aria-label": `Explain ${visible(file.path)}` }),
      may("operator") && button(
        "Pin…", () => pin(names(file), path(file), page), { "data-key": `pin-${file.path}`, "aria-label": `Pin ${visible(file.path)}` }
      )],
  ];

  async function find(further) {
    const number = (asked += 1);
    foundAt = Date.now();
    const { text, path: exact, ...query } = filters;
    results.setAttribute("aria-busy", "true");
    try {
      const found = await get("/v1/files", { sort: "deadline", ...query, glob: glob(text), limit: PAGE, cursor: further ? cursor : null });
      if (number !== asked) return;
      files = further ? [...files, ...found.files] : found.files;
      cursor = found.cursor;
      fill(
        results, [files, session.role],
        ([list]) => table("Files", ["Path", "#Size", "Job", "Rule", "Goes", "State", ""], list.map(row), "No file matches.")
      );
      fill(
        more, [cursor, files.length],
        () => [h("span", { class: "quiet" }, `${count(files.length)} shown`), cursor && button("More", () => find(true), { "data-key": "more" })]
      );
    } catch (problem) {
      if (number !== asked) return;
      fill(results, [problem.message, number], () => failure(problem));
      more.replaceChildren();
    } finally {
      results.removeAttribute("aria-busy");
    }
  }

  async function findJobs(query, further) {
    if (query.id) return attempt(() => showJob(query.id, query.source, page));
    const found = await get("/v1/jobs", { ...query, id: null, limit: PAGE, cursor: further });
    const rows = found.jobs.map((job) => [
      button(visible(job.id), () => attempt(() => showJob(job.id, job.source, page)), { class: "link", "data-key": `job-${job.id}` }),
      visible(job.source ?? "–"), visible(job.kind ?? "–"), job.status ?? "unknown", time(job.completed_at ?? job.created_at)
    ]);
    fill(jobs, [found, session.role], () => table("Jobs", ["Id", "Source", "Kind", "Status", "Ended, or made"], rows, "No job matches."));
    fill(moreJobs, found.cursor, (next) => next && button("Next page", () => attempt(() => findJobs(query, next)), { "data-key": "more-jobs" }));
  }

  function showForm(status) {
    const rules = [...new Set(status.roots.flatMap((root) => root.rules.map((one) => one.rule).filter(Boolean)))];
    const holds = [...new Set([...status.holds.map((hold) => hold.code), filters.hold].filter(Boolean))];
    fill(search, [status.roots.map((root) => root.name), rules, holds, filters], () => form((values) => page.go("files", values),
      h("div", { class: "fields" },
        field("Name or pattern", input("text", { type: "search", value: filters.text ?? "", placeholder: "report, or out/**/*.tmp" })),
        field("Root", select("root", [["", "all"], ...status.roots.map((root) => root.name)], filters.root)),
        field("Rule", select("rule", [["", "any"], ["none", "no rule: kept"], ...rules], filters.rule)),
        field(
          "Lapses within",
          select(
            "expiring_within", [["", "any time"], ["0s", "due now"], ["1h", "an hour"], ["24h", "a day"], ["7d", "a week"], ["30d", "30 days"]],
            filters.expiring_within
          )
        ),
        field("Held by", select("hold", [["", "–"], ...holds], filters.hold)),
        field("Job", input("job", { value: filters.job ?? "" })),
        field("At least", input("min_size", { value: filters.min_size ?? "", placeholder: "100MiB" })),
        field(
          "Order",
          select("sort", [["deadline", "soonest deadline"], ["size", "largest"], ["age", "oldest"], ["path", "path"]], filters.sort ?? "deadline")
        )),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary", "data-key": "search" }, "Search"),
        check("pinned", "only pinned", { checked: Boolean(filters.pinned), value: "true" }), check(
          "orphan", "only orphans", { checked: Boolean(filters.orphan), value: "true" }
        ))));
  }

  async function refresh(status, isForced) {
    showForm(status);
    const held = await get("/v1/pins");
    const keeps = (one) => [
      String(one.id), one.job ? `job ${visible(one.job)}` : path(one), visible(one.who), prose(one.why), time(one.until),
      may("operator") && [
        button("Extend…", () => extend(one, page), { "data-key": `extend-${one.id}` }),
        button("Unpin…", () => unpin(one, page), { "data-key": `unpin-${one.id}` }),
      ],
    ];
    fill(pins, [held, session.role], () => table("Pins", ["#No.", "Keeps", "By", "Why", "Ends", ""], held.pins.map(keeps), "Nothing is pinned."));
    if (isForced || (files.length <= PAGE && Date.now() - foundAt > FIND_EVERY)) await find(false);
    if (!jobs.childElementCount) await findJobs({});
  }

  function filtered() {
    filters = page.filters();
    files = [];
    page.now();
  }

  const byPath = form((values) => attempt(() => explain({ path: values.path }, page)),
    h(
      "div", { class: "fields" },
      field("Absolute path", input("path", { required: true, placeholder: "/srv/data/file", pattern: "/.*", title: "an absolute path" }))
    ),
    h("div", { class: "actions" }, h("button", { type: "submit" }, "Explain"), forRole(may("operator"), "operator", "Pin…", (event) => {
      const { value } = event.target.form.elements.path;
      if (event.target.form.reportValidity()) pin({ path: value }, path(value), page);
    })));
  const jobForm = form((values) => attempt(() => findJobs(values)),
    h(
      "div", { class: "fields" }, field("Id", input("id", { placeholder: "exact" })),
      field("Status", select("status", [["", "any"], "pending", "running", "completed", "failed", "cancelled"])), field("Kind", input("kind")),
      field("Source", input("source"))
    ),
    h("div", { class: "actions" }, h("button", { type: "submit" }, "Find jobs")));
  const node = h("div", { class: "grid" },
    card("Files", { wide: true, id: "search" }, search, results, more), card("Why is this file here?", { id: "explain" }, byPath),
    card("Jobs", { id: "jobs" }, jobForm, jobs, moreJobs), card("Pins", { wide: true, id: "pins" }, pins));
  return { node, refresh, filtered };
}
