// The browser, what a page must never do, and waiting.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

export const facts = JSON.parse(process.argv[2]);
const require = createRequire(`${facts.modules}/index.js`);
const { chromium } = require("playwright-core");
export const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const PATIENCE = Number(process.env.LAPSED_TEST_PATIENCE ?? 120_000);
const complaints = [];
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  timeout: PATIENCE,
});

// Has the test do something, and waits until it is done.
export async function ask(what) {
  console.log(what);
  if ((await input.next()).done) process.exit(1);
}

export function agree(condition, what) {
  if (!condition) throw new Error(what);
}

export function same(found, wanted, what) {
  agree(JSON.stringify(found) === JSON.stringify(wanted), `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
}

export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// Opens the page, and listens for everything that it must not do.
export async function open({ view = "overview", width = 1280, height = 900, scheme = "light", bypassCSP = false, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP, acceptDownloads: true, ...more });
  context.setDefaultTimeout(PATIENCE);
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(facts.url).origin && protocol !== "blob:") complaints.push(`asks for ${request.url()}`);
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => {
    complaints.push(`a script ran: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (/Content Security Policy|Trusted/i.test(message.text())) complaints.push(message.text());
  });
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`)));
  await page.goto(`${facts.url}/#${view}`);
  return page;
}

export const card = (page, name) => page.getByRole("region", { name, exact: true });
export const button = (at, name) => at.getByRole("button", { name, exact: typeof name === "string" });
export const box = (page) => page.getByRole("dialog");
export const closed = (page) => until("the dialog closes", async () => (await box(page).count()) === 0);
export const visit = async (page, name) => {
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name }).click();
  await until(`${name} is shown`, () => page.evaluate((name) => document.querySelector("h1")?.textContent === name, name));
};

// The cells of a table, row by row.
export const rows = (at, name) => at.getByRole("table", { name, exact: true }).evaluate((table) => [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim())));
// The same as soon as `wanted` is true of it.
export const rowsWhen = async (at, name, wanted) => until(`${name}: ${wanted}`, async () => {
  if (!(await at.getByRole("table", { name, exact: true }).count())) return false;
  const found = await rows(at, name);
  return wanted(found) && found;
});

export async function logIn(page, token) {
  const opens = page.getByRole("banner").getByRole("button", { name: "Log in" });
  await until("one can log in", async () => (await opens.count()) || (await page.getByLabel("Token").count()));
  if (await opens.count()) await opens.click();
  await page.getByLabel("Token").fill(token);
  await page.locator("form").getByRole("button", { name: "Log in" }).click();
}

// Runs a script to its end: it agrees, or says what is wrong.
export async function run(script) {
  try {
    await script();
    agree(complaints.length === 0, complaints.join("\n"));
    await browser.close();
    console.log("agreed");
    process.exit(0);
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    console.log(error.stack, complaints.join("\n"));
    for (const page of pages) console.log(`--- ${page.url()}\n${await page.evaluate(() => document.body.innerText.slice(-2500)).catch(() => "")}`);
    await browser.close();
    process.exit(1);
  }
}
