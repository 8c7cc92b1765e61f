// Names that others make are text, whatever they say.

import { agree, box, button, card, facts, open, rowsWhen, run, same, until, visit } from "./common.mjs";

run(async () => {
  const page = await open({ view: "files?rule=old&sort=path" });
  const files = card(page, "Files");
  const found = await rowsWhen(files, "Files", (rows) => rows.length === facts.count + 3);
  const names = found.map((row) => row[0].split("%3Cb%3E/")[1]).filter(Boolean);
  agree(names.includes("<img src=x onerror=alert(1)>.old"), `markup is text: ${names}`);
  agree(names.includes("line\\nbreak\\u{9}.old"), `a line break is seen: ${names}`);
  agree(names.includes("\\u{202e}gpj.exe.old"), `what turns the order around is seen: ${names}`);
  agree(names.includes("\ufffd\ufffd[*].old"), `bytes that are no text: ${names}`);
  same(await page.locator("main img, main script, [onmouseover], [onerror]").count(), 0, "nothing became an element");

  // By its bytes.
  await button(files, /^Explain .*\[\*\]\.old/).click();
  agree((await box(page).innerText()).includes("[*].old"), "explained");
  await button(box(page), "Pin…").click();
  await box(page).getByLabel("Why", { exact: true }).fill('"><script>alert(4)</script>');
  await button(box(page), "Pin").click();
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 2 && rows[1][1].endsWith("[*].old") && rows[1][3].includes("<script>"));
  await button(card(page, "Pins"), "Unpin…").nth(1).click();
  await button(box(page), "Unpin").click();
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 1);

  // Each goes, and nothing else: names with the signs of patterns, and without UTF-8.
  await visit(page, "Clean");
  const clean = card(page, "Clean");
  await page.getByLabel("Paths from the root").fill("%3Cb%3E/**");
  await button(clean, "Show what would be removed").click();
  await rowsWhen(clean, "What would be removed", (rows) => rows.length === facts.count);
  await button(clean, `Remove these ${facts.count} things…`).click();
  await button(box(page), "Remove").click();
  await until("they are gone", async () => new RegExp(`${facts.count} files, .* removed, run`).test(await box(page).innerText()));
  await button(box(page), "Close").click();
  await until("the trash has them", async () => (await card(page, "Trash").innerText()).includes("onerror=alert(1)"));

  await visit(page, "History");
  const history = await rowsWhen(card(page, "History"), "Removals", (rows) => rows.filter((row) => row[1].includes("%3Cb%3E") && row[2].includes("trashed")).length === facts.count);
  agree(history.some((row) => row[1].includes("<td><script>alert(2)<script>.old")), "history");
  const [download] = await Promise.all([page.waitForEvent("download"), button(card(page, "History"), "Export as CSV").click()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  const csv = Buffer.concat(chunks).toString();
  agree(csv.includes('line\nbreak\t.old"') && csv.includes('=HYPERLINK(""x"").old"'), `CSV: ${csv}`);
  agree(!/^[=+@]/m.test(csv.replace(/"[^"]*"/g, "")), "no cell is calculated");
  await visit(page, "Overview");
  await until("the feed has them", async () => (await page.locator(".feed").innerText()).includes(".old"));
  same(await page.locator("main img, main script").count(), 0, "nothing became an element");
});
