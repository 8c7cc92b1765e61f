// Every panel shows what is so.

import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { agree, box, button, card, closed, facts, open, rows, rowsWhen, run, same, until, visit } from "./common.mjs";

const [data, burst, jobs] = facts.files;

run(async () => {
  const page = await open();
  await until("it is ready", async () => (await page.locator(".tile").count()) === 5);
  const tile = (name) => page.locator(".tile", { hasText: name }).locator("strong").innerText();
  same(await tile("Files"), String(data + burst + jobs), "files");
  same(await tile("Wait to be asked"), "3", "what waits");
  same(await tile("Due now"), "31", "what is due and held: the burst, and the pinned file");

  // What needs a person: the source, the breaker.
  const needs = await page.locator(".attention li").allInnerTexts();
  agree(needs.some((text) => text.includes("breaker of burst has tripped: 30 of 30 files")), `the breaker: ${needs}`);
  agree(needs.some((text) => text.includes("source shop cannot be read")), `the source: ${needs}`);
  same(await page.locator("#health").innerText(), "holding", "health");

  const [hold] = await rowsWhen(card(page, "Holds"), "Held", (found) => found.length === 1);
  same(hold.slice(0, 2), ["breaker", "30"], "holds");
  agree(hold[2].includes("release"), "what ends it");

  const root = (name) => page.getByRole("article", { name: `Root ${name}` });
  agree((await root("data").innerText()).includes(`in ${data} files`), `data: ${await root("data").innerText()}`);
  agree((await root("data").innerText()).includes("3 of 100"), "the limit");
  await root("data").getByText(/^\d rules$/).click();
  const rules = await rowsWhen(root("data"), "Rules of data", (found) => found.length === 3);
  same(rules.map((row) => [row[0], row[1], row[2], row[4]]), [["old", "asked", "3", "3"], ["soon", "deadline", "1", "1"], ["later", "deadline", "3", "0"]], "rules");

  // What lapses next: three logs in nine hours, and what is due and held.
  const next = card(page, "What lapses next");
  await next.getByText("As a table").click();
  const hours = await rowsWhen(next, "Files that lapse", (found) => found.length === 24);
  same([hours[0][1], hours.reduce((sum, row) => sum + Number(row[1]), 0)], ["31", 31 + 3], "hours");
  await button(next, "30 days").click();
  const days = await rowsWhen(next, "Files that lapse", (found) => found.length === 30);
  same([days[0][1], days[29][1]], ["34", "0"], "days");
  await button(next, "Bytes").click();
  await rowsWhen(next, "Bytes that lapse", (found) => found[0][1] === "6.79 KiB");
  await button(next, "Files").click();

  await visit(page, "Files");
  const pins = await rowsWhen(card(page, "Pins"), "Pins", (found) => found.length === 1);
  agree(pins[0][1] === `${facts.data}/kept.tmp` && pins[0][3] === "the board wants it", `pins: ${pins}`);
  same((await rowsWhen(card(page, "Jobs"), "Jobs", (found) => found.length === 2)).map((row) => [row[0], row[1], row[3]]), [["6", "api", "running"], ["7", "api", "running"]], "jobs");
  await page.getByLabel("Name or pattern").fill("log");
  await page.getByLabel("Order", { exact: true }).selectOption("path");
  await button(card(page, "Files"), "Search").click();
  const found = await rowsWhen(card(page, "Files"), "Files", (list) => list.length === 3);
  same(found.map((row) => [row[0], row[1], row[3]]), ["1", "2", "3"].map((name) => [`${facts.data}/deep/${name}.log`, "2 KiB", "later"]), "search");
  agree(page.url().endsWith("#files?text=log&sort=path"), `the search is in the address: ${page.url()}`);
  await button(card(page, "Files"), `Explain ${facts.data}/deep/1.log`).click();
  agree((await box(page).innerText()).includes("later"), "explanation");
  await button(box(page), "Close").click();
  await closed(page);
  await button(card(page, "Jobs"), "7").click();
  await button(box(page), "Show its files").click();
  await rowsWhen(card(page, "Files"), "Files", (list) => list.length === 1 && list[0][0] === `${facts.jobs}/7/out`);
  await page.getByLabel("Absolute path").fill(`${facts.data}/kept.tmp`);
  await button(card(page, "Why is this file here?"), "Explain").click();
  agree((await box(page).innerText()).includes("pin"), "the pin is told");
  await button(box(page), "Close").click();

  await visit(page, "System");
  const sources = await rowsWhen(card(page, "Sources"), "Sources", (list) => list.length === 2);
  same(sources.map((row) => [row[0], row[2].split(/\s/)[0], row[3]]), [["api", "ready", "2"], ["shop", "down", "0"]], "sources");
  const receivers = await rowsWhen(card(page, "Notifications"), "Receivers", (list) => list.length === 1);
  same(receivers[0].slice(0, 2), ["ops", "webhook"], "receivers");
  agree(!JSON.stringify(receivers).includes("secret-path"), "secrets are not shown");
  same((await rows(card(page, "Rules"), "Rules")).map((row) => row[0]), ["old", "soon", "later", "burst"], "rules");

  // What happens now is seen without a reload: a file that is due when it comes.
  await visit(page, "Overview");
  await until("the stream is there", () => page.locator(".feed").count());
  mkdirSync(`${facts.data}/new`, { recursive: true });
  writeFileSync(`${facts.data}/new/gone.tmp`, "12345");
  const old = Date.now() / 1000 - 7200;
  utimesSync(`${facts.data}/new/gone.tmp`, old, old);
  await until("the removal is seen", async () => (await page.locator(".feed").innerText()).includes(`${facts.data}/new/gone.tmp`));
  await until("the sum follows", async () => (await tile("Removed today")) === "1");

  // Over time: by the day as the ledger has it, and by the minute where the daemon samples.
  const removed = card(page, "Removed");
  const total = async (name, steps) => {
    // Once it is open, it stays open.
    if (!(await removed.locator("details[open]").count())) await removed.getByText("As a table").click();
    return (await rowsWhen(removed, name, (list) => list.length === steps)).reduce((sum, row) => sum + parseFloat(row[1]), 0);
  };
  await button(removed, "30 days").click();
  same(await total("Files removed", 30), 1, "removed within 30 days");
  await button(removed, "Year").click();
  same(await total("Files removed", 73), 1, "removed within a year");
  const isSampled = (await page.request.get(`${facts.url}/v1/samples`)).ok();
  same(await card(page, "Lateness").isVisible(), isSampled, "lateness");
  if (isSampled) {
    await button(removed, "24 hours").click();
    same(await total("Files removed", 96), 1, "removed within 24 hours");
    await button(card(page, "What lapses next"), "Bytes").click();
    same(await total("Bytes removed", 96), 5, "bytes removed within 24 hours");
    await root("data").getByText("As a table").first().click();
    await rowsWhen(root("data"), "Size of data", (list) => list.length === 96 && /^\d/.test(list[95][1]));
  }

  // History, as a table and as files.
  await visit(page, "History");
  const history = await rowsWhen(card(page, "History"), "Removals", (list) => list.length >= 2);
  same([history[0][1], history[0][2], history[0][4], history[0][6], history[0][8]], [`${facts.data}/new/gone.tmp`, "file", "soon", "5 B", "rule"], "history");
  const read = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), button(card(page, "History"), name).click()]);
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  const lines = (await read("Export as CSV")).split("\r\n");
  same(lines[0], "at,result,path,root,rule,unit,owner,files,bytes,late_ms,by", "head of the CSV");
  agree(lines[1].includes(`,removed,${facts.data}/new/gone.tmp,data,soon,file,,1,5,`) && lines[1].endsWith(",rule"), `CSV: ${lines[1]}`);
  const json = JSON.parse(await read("Export as JSON"));
  same([json.length, json[0].path], [lines.length - 1, `${facts.data}/new/gone.tmp`], "JSON");
  await page.getByLabel("Rule", { exact: true }).selectOption("old");
  await button(card(page, "History"), "Search").click();
  await until("the filter works", async () => (await card(page, "History").innerText()).includes("Nothing was removed."));
});
