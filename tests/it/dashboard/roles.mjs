// Each role sees and does what it may; what is clicked happens.

import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { agree, ask, box, button, card, closed, facts, logIn, open, rowsWhen, run, same, until, visit } from "./common.mjs";

const { tokens, data } = facts;

async function isDenied(at, name, role) {
  const one = button(at, name);
  await one.waitFor();
  agree(await one.isDisabled(), `${await one.innerText()} is not for others`);
  agree((await one.locator("xpath=..").innerText()).includes(`needs the role ${role}`), "the reason is told");
}

async function nobody() {
  const page = await open();
  await page.getByLabel("Token").waitFor();
  agree(!(await page.content()).includes(data), "nothing is shown without a token");
  await logIn(page, `${tokens.viewer}x`);
  await page.getByRole("alert").waitFor();
  agree((await page.evaluate(() => sessionStorage.length)) === 0, "a refused token is forgotten");
  await page.context().close();
}

async function viewer() {
  const page = await open();
  await logIn(page, tokens.viewer);
  await until("the overview is there", async () => (await page.locator(".attention li").count()) > 0);
  same(await page.getByRole("banner").locator(".who").innerText(), "token viewer viewer", "who");
  await isDenied(page.locator(".attention"), "Release…", "admin");
  await visit(page, "Files");
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 1);
  await isDenied(card(page, "Why is this file here?"), "Pin…", "operator");
  same(await button(page, /^(Pin \/|Unpin|Extend)/).count(), 0, "no buttons for operators");
  await visit(page, "Clean");
  await button(page, "Show what would be removed").click();
  await rowsWhen(card(page, "Clean"), "What would be removed", (rows) => rows.length === 3);
  await isDenied(card(page, "Clean"), "Remove these 3 things…", "operator");
  await visit(page, "System");
  await isDenied(card(page, "Pauses"), "Pause…", "admin");
  same(await button(page, "Test ops").count(), 0, "no test");
  agree((await page.evaluate(() => Object.keys(localStorage).length + document.cookie.length)) === 0, "the token is in this tab alone");
  return page;
}

const old = (name) => {
  writeFileSync(`${data}/${name}`, "x".repeat(1000));
  const at = Date.now() / 1000 - 4 * 3600;
  utimesSync(`${data}/${name}`, at, at);
};

async function operator() {
  const page = await open({ view: "files?text=1.log" });
  await logIn(page, tokens.operator);
  const files = card(page, "Files");
  const path = `${data}/deep/1.log`;
  await button(files, `Pin ${path}`).click();
  await box(page).getByLabel("Why", { exact: true }).fill("a test");
  await button(box(page), "Pin").click();
  await closed(page);
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 2 && rows[1][1] === path && rows[1][2] === "token operator");
  await rowsWhen(files, "Files", (rows) => rows[0]?.[5].includes("pinned"));
  await button(card(page, "Pins"), "Extend…").nth(1).click();
  await box(page).getByLabel("For", { exact: true }).fill("soon");
  await button(box(page), "Extend").click();
  await box(page).getByRole("alert").waitFor();
  await box(page).getByLabel("For", { exact: true }).fill("30d");
  await button(box(page), "Extend").click();
  await closed(page);
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows[1]?.[4].startsWith("in 29 d") || rows[1]?.[4].startsWith("in 30 d"));
  await button(card(page, "Pins"), "Unpin…").nth(1).click();
  await button(box(page), "Unpin").click();
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 1);

  // The same list for real: what becomes due meanwhile stays, and so does what is gone from the list.
  await visit(page, "Clean");
  const clean = card(page, "Clean");
  await button(clean, "Show what would be removed").click();
  await rowsWhen(clean, "What would be removed", (rows) => rows.length === 3);
  old("later.old");
  await page.request.post(`${facts.url}/v1/sync`, { headers: { authorization: `Bearer ${tokens.operator}` } });
  await button(clean, "Remove these 3 things…").click();
  await button(box(page), "Keep").click();
  await closed(page);
  agree(existsSync(`${data}/a.old`), "nothing goes without consent");
  await button(clean, "Remove these 3 things…").click();
  await button(box(page), "Remove").click();
  await until("the report is there", async () => /3 files, .* removed, run \d/.test(await box(page).innerText()));
  same(["a", "b", "c", "later"].filter((name) => existsSync(`${data}/${name}.old`)), ["later"], "what is left");
  await button(box(page), "Close").click();
  await closed(page);

  const runs = await rowsWhen(card(page, "Runs"), "Runs", (rows) => rows[0]?.[4] === "done");
  same([runs[0][3], runs[0][5]], ["token operator", "3"], "the run");
  await button(card(page, "Runs"), `Look at run ${runs[0][0]}`).click();
  await rowsWhen(box(page), "Removed", (rows) => rows.length === 3);
  await button(box(page), "Undo this run…").click();
  agree((await box(page).innerText()).includes("3 files"), "what would come back is told first");
  agree(!existsSync(`${data}/a.old`), "and nothing comes back before");
  await button(box(page), "Undo").click();
  await until("they came back", async () => (await box(page).innerText()).includes("3 files came back"));
  agree(["a", "b", "c"].every((name) => existsSync(`${data}/${name}.old`)), "they are there");
  await button(box(page), "Close").click();
  await closed(page);

  // One thing of the trash.
  await button(clean, "Show what would be removed").click();
  await rowsWhen(clean, "What would be removed", (rows) => rows.length === 1);
  await button(clean, "Remove these 1 thing…").click();
  await button(box(page), "Remove").click();
  await until("it is done", async () => /1 file, .* removed, run \d/.test(await box(page).innerText()));
  await button(box(page), "Close").click();
  await button(card(page, "Trash"), `Undo the removal of ${data}/later.old`).click();
  await button(box(page), "Undo").click();
  await until("it came back", () => existsSync(`${data}/later.old`));
  await button(box(page), "Close").click();

  await visit(page, "System");
  await button(card(page, "Notifications"), "Test ops").click();
  await until("the failure is told", async () => (await box(page).innerText()).includes("failed"));
  await button(box(page), "Close").click();
  await closed(page);
  await button(card(page, "Notifications"), "Deliver…").click();
  await button(box(page), "Deliver").click();
  await until("they are tried", async () => /\d notification/.test(await box(page).innerText()));
  await button(box(page), "Close").click();
  same(await button(page, "Drop…").count(), 0, "an operator drops nothing");
  await isDenied(card(page, "Pauses"), "Pause…", "admin");
  await button(page, "Log out").click();
  await page.getByLabel("Token").waitFor();
  agree((await page.evaluate(() => sessionStorage.length)) === 0, "the token is forgotten");
  await page.context().close();
}

async function admin() {
  const page = await open();
  await logIn(page, tokens.admin);
  await button(page.locator(".attention"), "Release…").click();
  agree((await box(page).innerText()).includes("30 of 30 files"), "the evidence is shown");
  same(readdirSync(facts.burst).filter((name) => name !== ".lapsed").length, 30, "nothing goes before");
  await button(box(page), "Release").click();
  await closed(page);
  await until("they go", () => readdirSync(facts.burst).filter((name) => name !== ".lapsed").length === 0);
  await until("it is told", async () => !(await page.locator(".attention").innerText()).includes("breaker"));

  await visit(page, "System");
  await button(card(page, "Pauses"), "Pause…").click();
  await box(page).getByLabel("Why", { exact: true }).fill("an audit");
  await page.getByLabel("Root", { exact: true }).selectOption("data");
  await button(box(page), "Pause").click();
  await closed(page);
  const pauses = await rowsWhen(card(page, "Pauses"), "Pauses", (rows) => rows.length === 1);
  same(pauses[0].slice(0, 3), ["data", "token admin", "an audit"], "the pause");
  await visit(page, "Overview");
  await until("it is told", async () => (await page.locator(".attention").innerText()).includes("Removals from data are paused"));
  await button(page.locator(".attention"), "End…").click();
  await button(box(page), "End the pause").click();
  await closed(page);
  await until("it is over", async () => !(await page.locator(".attention").innerText()).includes("paused"));
  await visit(page, "System");
  await button(card(page, "Notifications"), "Drop…").click();
  await button(box(page), "Drop").click();
  await until("it is told", async () => /\d notification/.test(await box(page).innerText()));
  await button(box(page), "Close").click();
  await page.context().close();
}

run(async () => {
  await nobody();
  const page = await viewer();
  await operator();
  await admin();
  await ask("revoke");
  await page.getByLabel("Token").waitFor();
  agree((await page.getByRole("status").innerText()).includes("You are logged out"), "why is told");
  agree((await page.evaluate(() => sessionStorage.length)) === 0, "the token is forgotten");
});
