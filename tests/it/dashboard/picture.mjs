// The picture of the README: a real daemon, whose past is made up, since it has just begun.

import { card, facts, open, run, until } from "./common.mjs";

const MINUTES = 10;

// A day of removals and sizes that go up and down.
function past(now) {
  const samples = [];
  for (let at = 0; at < 144; at += 1) {
    const files = Math.max(0, Math.round(9 + 8 * Math.sin(at / 11) + 5 * Math.sin(at * 2.7)));
    const roots = [["uploads", 3.6e9], ["results", 1.9e9]].map(([root, size], number) => ({ root, files: 200, bytes: Math.round(size * (1 + 0.25 * Math.sin(at / 17 + 2 * number))) }));
    samples.push({ at: new Date(now - (144 - at) * MINUTES * 60_000).toISOString(), removed: { files, bytes: files * 14e6 }, late_ms: files ? 2 + (at % 3) : null, held: 0, roots });
  }
  return { by: "minute", samples };
}

run(async () => {
  const page = await open({ view: "system", width: 1100, height: 800 });
  await page.route("**/v1/**", async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/v1/samples") return route.fulfill({ json: past(Date.now()) });
    if (pathname === "/v1/events") return route.continue();
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll(facts.dir, "/srv/app/") });
  });
  await page.goto(`${facts.url}/#overview`);
  await page.reload();
  await until("it is filled", async () => (await page.locator(".root .plot svg").count()) === 2 && (await card(page, "Removed").locator("svg").count()) > 0);
  await page.screenshot({ path: facts.picture });
});
