// In both themes, on a phone, by the keyboard alone, and for those who listen.

import { agree, axe, box, button, card, closed, facts, open, rowsWhen, run, same, until, visit } from "./common.mjs";

const VIEWS = ["Overview", "Files", "Clean", "History", "System"];
const settled = (page) => until("the view is filled", () => page.evaluate(() => document.querySelector("#health").textContent && [...document.querySelectorAll(".card > div")].filter((one) => one.childElementCount).length > 0));

async function check(page, where) {
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  same(violations.map((one) => [one.id, one.nodes[0].html, one.nodes[0].failureSummary]), [], where);
}

async function look(scheme, width) {
  // Only the examiner is let past the policy of the page.
  const page = await open({ scheme, width, height: 740, bypassCSP: true });
  await page.evaluate(axe);
  for (const view of VIEWS) {
    await visit(page, view);
    await settled(page);
    if (view === "Overview") await page.locator("summary").first().click();
    if (view === "Clean") {
      await button(page, "Show what would be removed").click();
      await rowsWhen(card(page, "Clean"), "What would be removed", (rows) => rows.length === 3);
    }
    await check(page, `${view}, ${scheme}, ${width}`);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    agree(wide <= window, `${view} is ${wide} wide in ${window}`);
  }
  await visit(page, "Files");
  await page.getByLabel("Absolute path").fill(`${facts.data}/kept.tmp`);
  await button(card(page, "Why is this file here?"), "Explain").click();
  await box(page).waitFor();
  await check(page, `dialog, ${scheme}, ${width}`);
  await page.context().close();
}

// Presses Tab until `wanted` has the focus, which is seen there.
async function tabTo(page, wanted) {
  for (let pressed = 0; pressed < 200; pressed += 1) {
    const at = await page.evaluate(() => {
      const one = document.activeElement;
      const style = getComputedStyle(one);
      return { name: one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent.trim(), isSeen: style.outlineStyle !== "none" };
    });
    if (wanted.test(at.name)) {
      agree(at.isSeen, `the focus is not seen at ${at.name}`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`the keyboard does not reach ${wanted}`);
}

async function keyboard() {
  const page = await open();
  await settled(page);
  await page.keyboard.press("Tab");
  await tabTo(page, /^Skip to content$/);
  // Every control can be reached, in each view.
  for (const view of VIEWS) {
    await visit(page, view);
    await settled(page);
    if (view === "Files") await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 1);
    // Some are made anew meanwhile: each is known by what it says.
    await page.evaluate(() => {
      window.sign = (one) => [one.tagName, one.id, one.getAttribute("href"), one.dataset.key, one.getAttribute("aria-label") ?? one.textContent].join(" ");
      document.activeElement.blur();
    });
    const all = await page.evaluate(() => [...document.querySelectorAll("a[href]:not(.skip), button:enabled, input, select, summary")].filter((one) => one.checkVisibility()).map(window.sign));
    const reached = new Set();
    for (let pressed = 0; pressed < all.length + 20; pressed += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => window.sign(document.activeElement)));
    }
    same(all.filter((one) => !reached.has(one)), [], `${view}: what the keyboard does not reach`);
  }
  // A pin from the first key to the last.
  await page.goto(`${facts.url}/#files?text=log`);
  await rowsWhen(card(page, "Files"), "Files", (rows) => rows.length === 3);
  await tabTo(page, /^Pin .*\/1\.log$/);
  await page.keyboard.press("Enter");
  await box(page).waitFor();
  await tabTo(page, /^Why$/);
  await page.keyboard.type("by the keyboard");
  await page.keyboard.press("Enter");
  await closed(page);
  await rowsWhen(card(page, "Pins"), "Pins", (rows) => rows.length === 2);
  await until("the focus is where it was", () => page.evaluate(() => /\/1\.log$/.test(document.activeElement.getAttribute("aria-label"))));
  await page.keyboard.press("Enter");
  await box(page).waitFor();
  await page.keyboard.press("Escape");
  await closed(page);
  await page.context().close();
}

run(async () => {
  await look("light", 1280);
  await look("dark", 360);
  await look("dark", 1280);
  await look("light", 360);
  await keyboard();
});
