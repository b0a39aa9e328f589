// A real Chromium, and pages that are watched from their first request on.

import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** How long anything on a page may take, ms. */
export const WAIT_MS = 20_000;

/** Starts Chromium; without one the tests fail. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // Containers run as root, where Chromium has no sandbox.
  return chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: FLAGS });
}

/**
 * A window of its own: own storage, own connection.
 * @param {import("playwright-core").Browser} browser
 * @param {string} origin where the product is
 * @param {{width: number, height: number}} viewport
 */
export async function openWindow(browser, origin, viewport) {
  const context = await browser.newContext({ viewport, baseURL: origin, reducedMotion: "reduce" });
  context.setDefaultTimeout(WAIT_MS);
  const faults = [];
  await context.exposeBinding("reportViolation", (_, text) => faults.push(`CSP: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  context.on("weberror", (error) => faults.push(`error: ${error.error().stack ?? error.error()}`));
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  const host = new URL(origin).host;
  const seen = (url) => {
    if (!["data:", "blob:"].includes(new URL(url).protocol) && new URL(url).host !== host) faults.push(`third party: ${url}`);
  };
  context.on("request", (request) => seen(request.url()));
  context.on("response", (response) => {
    if (response.status() >= 400) faults.push(`status ${response.status()}: ${response.url()}`);
  });
  const newPage = async () => {
    const page = await context.newPage();
    page.on("websocket", (socket) => seen(socket.url()));
    return page;
  };
  return { context, page: await newPage(), newPage, faults };
}
