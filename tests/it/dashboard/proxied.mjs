// Behind a proxy that has the daemon below a path of its own.

import { agree, card, facts, logIn, open, rowsWhen, run, until, visit } from "./common.mjs";

run(async () => {
  const asked = new Set();
  const page = await open();
  page.on("request", (request) => asked.add(new URL(request.url()).pathname));
  await logIn(page, facts.token);
  await until("it is ready", async () => (await page.locator(".tile").count()) === 5);
  for (const view of ["Files", "Clean", "History", "System"]) await visit(page, view);
  await rowsWhen(card(page, "Sources"), "Sources", (rows) => rows.length === 2);
  agree(asked.size > 5 && [...asked].every((path) => path.startsWith("/lapsed/")), `what it asked for: ${[...asked]}`);
});
