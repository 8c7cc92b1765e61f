// What was removed, when, why and by whom; as CSV and JSON, too.

import { get } from "./api.js";
import { attempt } from "./files.js";
import {
  button, bytes, card, count, duration, failure, field, fill, form, h, input, many, path, pill, prose, select, table, time, visible, who
} from "./dom.js";

export const title = "History";

const PAGE = 50;
const EXPORT_PAGE = 5000;
const EXPORT_MAX = 100_000;
const COLUMNS = ["at", "result", "path", "root", "rule", "unit", "owner", "files", "bytes", "late_ms", "by"];

// A cell of CSV. One that a spreadsheet would calculate is made text: others choose the names of files.
function csvCell(value) {
  const text = value === null || value === undefined ? "" : typeof value === "object" ? who(value) : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csv = (lines) => [COLUMNS, ...lines.map((line) => COLUMNS.map((name) => line[name]))].map((row) => row.map(csvCell).join(",")).join("\r\n");

function save(name, type, text) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function view(page) {
  const [search, results, more, told] = [h("div"), h("div"), h("div", { class: "actions" }), h("p", { class: "quiet", role: "status" })];
  let filters = page.filters();
  let [lines, cursor, unreadable, asked] = [[], null, [], 0];

  const row = (line) => [
    time(line.at), [path(line), line.part > 0 && h("small", null, " part of a unit")], line.result === "removed" ? line.unit : [
      pill(line.result, line.result === "displaced" ? "warn" : "busy"), ` ${line.unit}`
    ],
    line.owner ? visible(line.owner) : "–", visible(line.rule || "–"), count(line.files), bytes(line.bytes),
    line.result === "removed" || line.result === "trashed" ? duration(line.late_ms) : "–", visible(who(line.by)),
  ];

  async function find(further) {
    const number = (asked += 1);
    try {
      const found = await get("/v1/history", { ...filters, limit: PAGE, cursor: further ? cursor : null });
      if (number !== asked) return;
      lines = further ? [...lines, ...found.removals] : found.removals;
      [cursor, unreadable] = [found.cursor, found.unreadable ?? []];
      fill(
        results, [lines, unreadable],
        () => [
          unreadable.map((one) => h("p", { class: "failure" }, prose(one))),
          table("Removals", ["When", "Path", "What", "Job", "Rule", "#Files", "#Size", "#Late", "By"], lines.map(row), "Nothing was removed.")
        ]
      );
      fill(
        more, [cursor, lines.length],
        () => [h("span", { class: "quiet" }, `${count(lines.length)} shown`), cursor && button("More", () => find(true), { "data-key": "more" })]
      );
    } catch (problem) {
      if (number === asked) fill(results, [problem.message, number], () => failure(problem));
    }
  }

  const all = (make) => attempt(async () => {
    const lines = [];
    let next = null;
    do {
      const found = await get("/v1/history", { ...filters, limit: EXPORT_PAGE, cursor: next });
      lines.push(...found.removals);
      next = found.cursor;
      told.textContent = `${many(lines.length, "line")} read…`;
    } while (next && lines.length < EXPORT_MAX);
    make(lines);
    told.textContent = `${many(lines.length, "line")} exported${next ? `, the newest: there are more, which \`lapsed history --json\` gives` : ""}.`;
  });

  async function refresh(status) {
    const rules = [...new Set(status.roots.flatMap((root) => root.rules.map((one) => one.rule).filter(Boolean)))];
    fill(search, [status.roots.map((root) => root.name), rules, filters], () => form((values) => page.go("history", values),
      h("div", { class: "fields" },
        field(
          "Since",
          select("since", [["", "ever"], ["1h", "an hour ago"], ["24h", "a day ago"], ["7d", "a week ago"], ["30d", "30 days ago"]], filters.since)
        ),
        field("Root", select("root", [["", "all"], ...status.roots.map((root) => root.name)], filters.root)),
        field("Rule", select("rule", [["", "any"], ...rules], filters.rule)),
        field("Job", input("job", { value: filters.job ?? "" })),
        field("Run", input("run", { value: filters.run ?? "", inputmode: "numeric", pattern: "[0-9]*" })),
        field("At or below", input("path", { value: filters.path ?? "", placeholder: "/srv/data" }))),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary", "data-key": "search" }, "Search"),
        button("CSV", () => all((found) => save("lapsed-history.csv", "text/csv", csv(found))), { "aria-label": "Export as CSV" }),
        button(
          "JSON", () => all((found) => save("lapsed-history.json", "application/json", JSON.stringify(found, null, 1))),
          { "aria-label": "Export as JSON" }
        ))));
    if (lines.length <= PAGE) await find(false);
  }

  function filtered() {
    filters = page.filters();
    lines = [];
    page.now();
  }

  return { node: h("div", { class: "grid" }, card("History", { wide: true, id: "history" }, search, told, results, more)), refresh, filtered };
}
