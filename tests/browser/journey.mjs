// One journey through the page in headless Chromium: node journey.mjs URL FOLDER
// Says "live" on standard output when it waits for new data, and ends with 0 when everything was as it should be.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const [url, folder] = process.argv.slice(2);
const problems = [];

// The machine may be busy: a step that takes longer than this fails.
const patience = { timeout: 120000 };
const browser = await chromium.launch({
  ...patience,
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

// A page on which nothing may go wrong unseen: errors, refused content, requests to other places.
const open = async (options) => {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience.timeout);
  context.setDefaultNavigationTimeout(patience.timeout);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) problems.push(`request to ${request.url()}`);
  });
  return page;
};
const shot = (page, name) => page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled" });
const text = (page, selector) => page.locator(selector).first().innerText();

const desktop = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const page = await open(desktop);

// Load: who is infected stands first.
await page.goto(url);
assert.match(await text(page, "h1"), /10\.0\.0\.66 looks infected/);
await page.locator("#live").filter({ hasText: "live" }).waitFor();
assert.match(await text(page, "main"), /rows of logs seen/);
await shot(page, "overview");

// Why: alert, evidence, flows.
await page.locator("a", { hasText: /^why$/ }).first().click();
assert.match(await text(page, "h1"), /Alert for 10\.0\.0\.66/);
assert.match(await page.locator("svg.terms").textContent(), /threshold 15\.00/);
await shot(page, "alert");
await page.locator(`table.data tbody a[href^="/evidence/"]`).first().click();
await page.getByRole("heading", { name: "The numbers behind it" }).waitFor();
assert.ok((await page.locator(".timeline > li").count()) > 0, "the flows behind the evidence");
await shot(page, "evidence");

// Profile: views by keyboard, sorting by a click.
await page.goto(`${url}profile/10.0.0.66`);
assert.match(page.url(), /\/profile\/10\.0\.0\.66\/\d+/);
await shot(page, "profile");
await page.keyboard.press("v");
await page.keyboard.press("c");
await page.waitForURL(/view=peers/);
const first = () => text(page, "table.data tbody tr td");
const before = await first();
const flows = page.locator("thead button", { hasText: "destination IP" }).last();
await flows.click();
await flows.click();
assert.notEqual(await page.locator("thead th[aria-sort]").count(), 0);
assert.ok(before.length > 0);
await shot(page, "peers");
for (const [key, view] of [["h", "tuples"], ["m", "map"], ["z", "evidence"], ["p", "ports"], ["e", "sources"], ["b", "server"], ["t", "timeline"]]) {
  await page.keyboard.press("v");
  await page.keyboard.press(key);
  await page.waitForURL(new RegExp(`view=${view}`));
  if (view === "map" || view === "tuples") await shot(page, view);
}
await page.keyboard.press("g");
await page.keyboard.press("p");
await page.waitForURL(/\/profiles$/);

// Filter.
await page.fill("main input[name=q]", "10.0.0.66");
await page.keyboard.press("Enter");
await page.waitForURL(/q=10\.0\.0\.66/);
assert.equal(await page.locator("table.data tbody tr").count(), 1);
await page.keyboard.press("j");
await page.keyboard.press("Enter");
await page.waitForURL(/\/profile\/10\.0\.0\.66\//);

// Search by keyboard; a mistake is explained.
await page.keyboard.press("/");
await page.keyboard.type("level>=high port:23");
await page.keyboard.press("Enter");
await page.waitForURL(/\/search/);
assert.ok((await page.locator("table.data tbody tr").count()) > 0);
await shot(page, "search");
await page.fill("main input[name=q]", "colour:red");
await page.keyboard.press("Enter");
assert.match(await text(page, "[role=alert]"), /there is no field/);

// The other pages, the address, the keys.
for (const [path, heading] of [
  ["sensors", /Sensors/],
  ["modules", /Modules/],
  ["blocks", /Blocks/],
  ["outliers", /Outliers/],
  ["patterns", /Patterns/],
  ["ip/93.184.216.34", /93\.184/],
]) {
  await page.goto(url + path);
  assert.match(await text(page, "h1"), heading);
  await shot(page, path.split("/")[0]);
}
await page.keyboard.press("?");
assert.ok(await page.locator("dialog[open]").isVisible());
await page.keyboard.press("Escape");

// Dark by a key, and it stays; phone.
const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await back();
await page.keyboard.press("t");
const dark = await back();
assert.notEqual(light, dark);
await page.goto(url);
assert.equal(await back(), dark);
await shot(page, "dark");
const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true });
for (const path of ["", "profiles", "profile/10.0.0.66", "search", "sensors", "modules", "outliers", "ip/93.184.216.34"]) {
  await phone.goto(url + path);
  const width = await phone.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `/${path} is ${width} wide on a phone`);
}
await phone.goto(url);
await shot(phone, "phone");
await phone.context().close();

// Live: a new scanner appears without a reload.
await page.evaluate(() => (window.notReloaded = true));
console.log("live");
await page.locator("#live", { hasText: "new alert" }).waitFor();
await page.locator("main a", { hasText: "10.0.0.77" }).first().waitFor();
assert.ok(await page.evaluate(() => window.notReloaded), "the page was not loaded anew");
await shot(page, "live");

await browser.close();
assert.deepEqual(problems, []);
console.log("done");
