// Clean, first dry and then the same list for real; runs; undo.

import { del, get, may, post, session } from "./api.js";
import {
  button, bytes, card, check, count, details, dialog, failure, field, fill, forRole, form, h, input, many, names, path, pill, prose, select, table,
  time, visible, who,
} from "./dom.js";
import { attempt, explain } from "./files.js";

export const title = "Clean";

// A person looks through so many things at once; what is due longest comes first.
const LIST_MAX = 500;
const HELD_MAX = 100;
const PAGE = 20;
const STATUS = { done: "ok", running: "busy", errors: "warn", failed: "bad", interrupted: "warn" };

// Names a thing of a report, so that an order removes it and nothing else.
const named = (item) => ({ ...names(item), unit: item.unit, ...(item.unit === "job" && { job: item.job }) });

const items = (caption, list, page) => table(caption, ["Path", "Unit", "#Files", "#Size", "Rule", "Due since", ""], list.map((item) => [
  [path(item), item.why && h("small", null, prose(item.why))],
  item.unit === "job" ? `job ${visible(item.job ?? "")}` : item.unit,
  count(item.files), bytes(item.bytes), visible(item.rule), time(item.deadline),
  button("Explain", () => attempt(() => explain(item, page)), { "aria-label": `Explain ${visible(item.path)}` }),
]), "Nothing.");

function report(of, page, verb) {
  return [
    h(
      "p", null, pill(of.status, STATUS[of.status]), " ", h("strong", null, `${many(of.files, "file")}, ${bytes(of.bytes)}`), ` ${verb}`,
      of.run ? `, run ${of.run}` : ""
    ),
    of.errors.map((error) => h("p", { class: "failure" }, error.path ? [path(error), ": "] : "", prose(error.why))),
    [...of.breaker.tripped, ...of.breaker.orphans].map((trip) => h(
      "p", { class: "failure" },
      `The breaker of ${visible(trip.root ?? trip.source ?? "")} holds something of this: `,
      prose(trip.why ?? `${count(trip.due)} of ${count(trip.of)} became due at once.`)
    )),
    of.holds.length > 0 && h("ul", null, of.holds.map((hold) => h("li", null, `${count(hold.count)} held: ${prose(hold.why)}`))),
    of.held.length > 0 && details(
      "held", of.held.length < HELD_MAX ? "What is held" : `The first ${HELD_MAX} that are held`, () => items("Held", of.held, page)
    ),
  ];
}

export function view(page) {
  const [order, listed, runs, trash] = [h("div"), h("div", { "aria-live": "polite" }), h("div"), h("div")];
  let [runsMax, trashMax] = [PAGE, PAGE];

  async function look(values, of) {
    const chosen = (name) => [...of.querySelectorAll(`input[name=${name}]`)].filter((one) => one.checked).map((one) => one.value);
    const all = (name) => of.querySelectorAll(`input[name=${name}]`).length === chosen(name).length;
    const wish = {
      ...(all("root") ? {} : { roots: chosen("root") }), ...(chosen("rule").length ? { rules: chosen("rule") } : {}),
      ...(values.paths?.trim() ? { paths: values.paths.trim().split(/\s+/) } : {}), ...(values.orphans_only ? { orphans_only: true } : {}),
      ...(values.life ? { retention: { [values.life_rule]: values.life } } : {}),
    };
    listed.replaceChildren(h("p", { class: "quiet" }, "Looking at each thing…"));
    try {
      showList(wish, await post("/v1/clean", { ...wish, dry_run: true, limit: LIST_MAX, held_limit: HELD_MAX }));
    } catch (problem) {
      listed.replaceChildren(failure(problem));
    }
  }

  function showList(wish, found) {
    const list = found.removed;
    const text = many(list.length, "thing");
    listed.replaceChildren(h("h3", null, "What would be removed"), ...report(found, page, "would be removed").flat().filter(Boolean),
      ...(list.length >= LIST_MAX ? [h(
        "p", { class: "quiet" }, `These are the ${LIST_MAX} that are due longest, and there may be more: clean them, then look again. `,
        h("code", null, "lapsed clean"), " takes all at once."
      )] : []),
      h("div", { class: "tall", tabindex: "0", role: "region", "aria-label": "What would be removed" }, items("What would be removed", list, page)),
      list.length ? h(
        "div", { class: "actions" }, forRole(may("operator"), "operator", `Remove these ${text}…`, () => confirm(wish, found), { class: "danger" })
      ) : "");
  }

  const confirm = (wish, found) => dialog(`Remove ${many(found.removed.length, "thing")}?`, [
    h(
      "p", null,
      `${many(found.files, "file")}, ${bytes(found.bytes)}: exactly what is listed. Each is looked at again before it goes, `,
      "and what has changed, is open or is pinned stays."
    ),
  ], {
    action: "Remove", danger: true, close: "Keep", act: async () => {
      const done = await post("/v1/clean", { ...wish, dry_run: false, held_limit: HELD_MAX, things: found.removed.map(named) });
      listed.replaceChildren();
      page.now();
      return report(done, page, done.dry_run ? "would be removed: this daemon removes nothing" : "removed");
    },
  });

  function showOrder(status) {
    const rules = [...new Set(status.roots.flatMap((root) => root.rules.map((one) => one.rule).filter(Boolean)))];
    const roots = status.roots.map((root) => root.name);
    fill(order, [roots, rules], () => form(look,
      h("fieldset", null, h("legend", null, "Roots"), roots.map((root) => check("root", visible(root), { value: root, checked: true }))),
      h(
        "fieldset", null, h("legend", null, "Rules; none: all that need not be named"),
        rules.map((rule) => check("rule", visible(rule), { value: rule }))
      ),
      h("div", { class: "fields" },
        field("Paths from the root", input("paths", { placeholder: "all, or patterns: out/** **/*.tmp" })),
        field("Another lifetime, this once", input("life", { placeholder: "7d" })),
        field("for", select("life_rule", [["*", "all rules"], ...rules]))),
      h(
        "div", { class: "actions" }, h("button", { type: "submit", class: "primary", "data-key": "look" }, "Show what would be removed"),
        check("orphans_only", "only orphans")
      )));
  }

  const cancel = (run) => dialog(
    `Cancel run ${run}?`, h("p", null, "What it removed until then is gone."),
    { action: "Cancel the run", close: "Go on", act: async () => { await del(`/v1/runs/${run}`); page.now(); } }
  );

  async function showRun(id) {
    const run = await get(`/v1/runs/${id}`, { limit: 100 });
    await dialog(`Run ${id}`, [
      h(
        "p", null, pill(run.status, STATUS[run.status]),
        ` ${many(run.files, "file")}, ${bytes(run.bytes)}; ${many(run.held, "thing")} held, ${many(run.errors, "failure")}`
      ),
      run.why && h("p", null, prose(run.why)), run.failures.map((error) => h(
        "p", { class: "failure" }, error.path ? [path(error), ": "] : "", prose(error.why)
      )),
      h(
        "div", { class: "tall", tabindex: "0", role: "region", "aria-label": "Removed" },
        table("Removed", ["When", "Path", "#Files", "#Size"], run.removed.map((one) => [time(one.at), path(one), count(one.files), bytes(one.bytes)]))
      ),
      run.cursor && h(
        "p", { class: "quiet" }, "The first hundred. ",
        button("All, in the history", (event) => { event.target.closest("dialog").close(); page.go("history", { run: id }); })
      ),
      may("operator") && run.files > 0 && h(
        "div", { class: "actions" },
        button("Undo this run…", (event) => { event.target.closest("dialog").close(); undo({ run: id }, `all that run ${id} removed`); })
      ),
    ]);
  }

  // Tells first what would come back.
  const undo = (what, text) => attempt(async () => {
    const found = await post("/v1/undo", { ...what, dry_run: true });
    const left = (of) => of.left.length > 0 && h("ul", null, of.left.slice(0, 20).map((one) => h("li", null, `removal ${one.id} stays: ${prose(one.why)}`)));
    await dialog("Undo?", [
      h("p", null, "Brings back ", text, `: ${many(found.files, "file")}, ${bytes(found.bytes)}. Nothing is overwritten.`), left(found),
      field("Pinned for", input("for", { value: "7d", required: true })), check("beside", "beside a name that is taken by now: NAME.restored-ID"),
    ], {
      action: found.things || found.left.length ? "Undo" : undefined, act: async (values) => {
        const done = await post("/v1/undo", { ...what, for: values.for, ...(values.beside && { beside: true }) });
        page.now();
        return [
          h("p", null, `${many(done.files, "file")} came back`, done.pinned_until ? [", pinned until ", time(done.pinned_until, { exact: true })] : "", "."),
          left(done)
        ];
      },
    });
  });

  const more = (cursor, key, then) => cursor && h("div", { class: "actions" }, button("More", () => { then(); page.now(); }, { "data-key": `more-${key}` }));
  const progress = (run) => (run.status === "running" && run.due ? h(
    "progress", { max: run.due, value: run.settled ?? 0, "aria-label": `Run ${run.id}` }
  ) : "");

  async function refresh(status) {
    showOrder(status);
    const [done, kept] = await Promise.all([get("/v1/runs", { limit: runsMax }), get("/v1/trash", { limit: trashMax })]);
    const run = (of) => [
      String(of.id), time(of.started), of.schedule ? `${of.cause} ${visible(of.schedule)}` : of.cause, visible(who(of.by)),
      [pill(of.status, STATUS[of.status]), progress(of)], count(of.files), bytes(of.bytes),
      [
        button("Look", () => attempt(() => showRun(of.id)), { "data-key": `run-${of.id}`, "aria-label": `Look at run ${of.id}` }),
        of.status === "running" && may("operator") && button("Cancel…", () => cancel(of.id), { "data-key": `cancel-${of.id}` }),
      ],
    ];
    fill(runs, [done, session.role], () => [
      table("Runs", ["#No.", "Started", "Cause", "By", "Status", "#Files", "#Size", ""], done.runs.map(run), "There was no run yet."),
      more(done.cursor, "runs", () => { runsMax += PAGE; }),
    ]);
    const thing = (of) => [
      time(of.at), [path(of), of.further > 0 && ` and ${many(of.further, "more piece")}`], count(of.files), bytes(of.bytes), time(of.until),
      may("operator") && button(
        "Undo…", () => undo({ ids: [of.id] }, path(of)), { "data-key": `undo-${of.id}`, "aria-label": `Undo the removal of ${visible(of.path)}` }
      ),
    ];
    fill(trash, [kept, session.role], () => [
      kept.roots.filter((root) => root.things).map((root) => h(
        "p", null, `${visible(root.root)}: ${many(root.files, "file")}, ${bytes(root.bytes)}; the next is deleted `, time(root.next)
      )),
      table(
        "Trash", ["Removed", "Path", "#Files", "#Size", "Deleted", ""], kept.things.map(thing),
        "Nothing can be restored: rules that keep what they remove say then = \"trash\"."
      ),
      more(kept.cursor, "trash", () => { trashMax += PAGE; }),
      kept.things.length > 0 && h(
        "div", { class: "actions" },
        forRole(
          may("operator"), "operator", "Undo the last removal…", () => undo({ last: true }, "the last removal, with all that its run removed"),
          { "data-key": "undo-last" }
        )
      ),
    ]);
    if (done.runs.some((run) => run.status === "running")) page.soon();
  }

  const node = h("div", { class: "grid" }, card(
    "Clean", { wide: true, id: "clean" },
    h("p", { class: "quiet" }, "Removes what is due now. First the list is shown; nothing goes until you say so."), order, listed
  ),
    card("Runs", { wide: true, id: "runs" }, runs), card("Trash", { wide: true, id: "trash" }, trash));
  return { node, refresh, event: (told) => told.event === "run" && page.now() };
}
