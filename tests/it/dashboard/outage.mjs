// A daemon that goes away is told, and the page goes on when it is back.

import { agree, ask, open, run, until } from "./common.mjs";

run(async () => {
  const page = await open();
  const health = page.locator("#health");
  await until("it is there", async () => (await health.innerText()) === "holding");
  const files = () => page.locator(".tile", { hasText: "Files" }).locator("strong").first().innerText();
  const before = Number(await files());
  await ask("stop");
  await until("the outage is told", async () => (await health.innerText()) === "no answer");
  agree((await page.getByRole("status").innerText()).includes("does not answer"), "in words");
  agree((await page.title()).startsWith("no answer"), "and in the title");
  agree(Number(await files()) === before, "what was known is still shown");
  await ask("start");
  await until("it is back", async () => (await health.innerText()) === "holding");
  await until("what changed meanwhile is seen", async () => Number(await files().catch(() => 0)) === before + 1);
  agree((await page.locator(".notice.bad").count()) === 0, "nothing is wrong any more");
});
