// Shows the names of NAMES on the host's and on a player's page, and fails when one of them is anything but text.

import assert from "node:assert/strict";
import { launch, openWindow, WAIT_MS } from "../../web/tests/stage/browser.mjs";
import { join, onScreen } from "../../web/tests/stage/people.mjs";

const { QUIZSTREAM_URL: origin, PIN: pin, GAME: game, HOST_TOKEN: token } = process.env;
const names = JSON.parse(process.env.NAMES);
const browser = await launch();
try {
  const host = await openWindow(browser, origin, { width: 1280, height: 800 });
  const player = await openWindow(browser, origin, { width: 390, height: 844 });
  const dialogs = [];
  for (const { page, context } of [host, player]) {
    page.on("dialog", (dialog) => dialogs.push(dialog.message()));
    await context.addInitScript(() => {
      window.x = () => document.documentElement.setAttribute("data-ran", "yes");
    });
  }
  await host.page.goto("/host");
  await host.page.evaluate(([created, place]) => sessionStorage.setItem(place, created),
    [JSON.stringify({ game, pin, host_token: token, join_url: `${origin}/?pin=${pin}` }), "quizstream.hosted"]);
  await host.page.goto("/host");
  await onScreen(host.page, "lobby");
  await player.page.goto("/");
  await join(player.page, pin, "Watcher");
  await onScreen(player.page, "lobby");
  for (const name of names) {
    await host.page.locator("bdi", { hasText: name }).first().waitFor({ timeout: WAIT_MS });
  }
  for (const { page, faults } of [host, player]) {
    assert.equal(await page.evaluate(() => document.documentElement.dataset.ran), undefined, "a name ran as a script");
    assert.equal(await page.locator("bdi *").count(), 0, "a name became an element");
    assert.deepEqual(faults, []);
  }
  assert.deepEqual(dialogs, []);
  // The control: what a name would have to do is seen when it is done.
  await host.page.evaluate(() => window.x());
  assert.equal(await host.page.evaluate(() => document.documentElement.dataset.ran), "yes");
  const policy = await host.page.evaluate(async () => (await fetch("/host")).headers.get("content-security-policy"));
  assert.match(policy, /default-src 'none'; script-src 'self'/);
  await host.page.evaluate(() => document.body.insertAdjacentHTML("beforeend", "<img src=/favicon.svg onload=x()>"));
  const until = Date.now() + WAIT_MS;
  while (!host.faults.some((fault) => fault.startsWith("CSP: script-src"))) {
    assert.ok(Date.now() < until, "the policy stops a script in markup");
    await host.page.waitForTimeout(50);
  }
} finally {
  await browser.close();
}
