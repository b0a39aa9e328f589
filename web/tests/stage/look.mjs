// What a state looks like: pictures at three sizes, and axe's judgement in light and dark.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";

const FOLDER = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../../target/screenshots/", import.meta.url));

/** The phones and the projector that we draw for. */
export const SIZES = [[320, 568], [390, 844], [1280, 800]];

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
export async function look(page, name) {
  const before = page.viewportSize();
  await mkdir(FOLDER, { recursive: true });
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    await settled(page);
    await assertNoSideways(page, `${name} at ${width}`);
    await page.screenshot({ path: path.join(FOLDER, `${name}-${width}x${height}.png`) });
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await settled(page);
      if (colorScheme === "dark" && width !== 320) {
        await page.screenshot({ path: path.join(FOLDER, `${name}-${width}x${height}-dark.png`) });
      }
      if (width !== 390) await assertAccessible(page, `${name} at ${width}, ${colorScheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
  }
  await page.setViewportSize(before);
}

async function assertAccessible(page, where) {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  const text = violations.flatMap((violation) =>
    violation.nodes.map((node) => `${violation.id}: ${node.target} ${node.failureSummary}`));
  assert.deepEqual(text, [], `axe: ${where}`);
}

/** Nothing sticks out to the side: a phone scrolls up and down only. */
async function assertNoSideways(page, where) {
  const [wide, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= shown, `${where}: ${wide} px of content in ${shown} px`);
}

/** Animations are over: what is half faded in has no contrast yet. */
async function settled(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    await frame();
    const running = document.getAnimations().filter((animation) => animation.effect?.getTiming().iterations !== Infinity);
    await Promise.allSettled(running.map((animation) => animation.finished));
  });
}
