// A run is seen while it removes, and can be cancelled; long lists come in parts.

import { readdirSync } from "node:fs";
import { agree, box, button, card, closed, facts, open, rowsWhen, run, same, until } from "./common.mjs";

const left = () => readdirSync(facts.data).filter((name) => name !== ".lapsed").length;

run(async () => {
  const page = await open({ view: "clean" });
  const runs = card(page, "Runs");
  await until("there was no run", async () => (await runs.innerText()).includes("There was no run yet."));
  const report = page.request.post(`${facts.url}/v1/clean`, { data: { dry_run: false, held_limit: 0 }, timeout: 0 });
  await button(runs, "Cancel…").click();
  await button(box(page), "Cancel the run").click();
  const [row] = await rowsWhen(runs, "Runs", (rows) => rows[0]?.[4] === "interrupted");
  const { removed } = await (await report).json();
  same(row[5], (facts.files - left()).toLocaleString("en"), "it tells what is gone");
  same(removed.length, facts.files - left(), "as the report does");
  await closed(page);

  const before = left();
  agree(before > 500, `there is enough left: ${before}`);
  const clean = card(page, "Clean");
  await button(clean, "Show what would be removed").click();
  await rowsWhen(clean, "What would be removed", (rows) => rows.length === 500);
  agree((await clean.innerText()).includes("there may be more"), "that there is more is told");
  await button(clean, "Remove these 500 things…").click();
  await button(box(page), "Remove").click();
  await until("the report is there", async () => /500 files, .* removed, run/.test(await box(page).innerText()));
  same(left(), before - 500, "what is left");
});
