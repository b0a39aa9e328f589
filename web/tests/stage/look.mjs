// What a state looks like: pictures at three sizes, and axe's judgement in light and dark.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";

/** Where pictures go. */
export const FOLDER = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../../target/screenshots/", import.meta.url));

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
      for (const [paper, rules] of judged(width, colorScheme)) {
        await assertAccessible(page, paper, rules, `${name} at ${width}, ${colorScheme}`);
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
  }
  await page.setViewportSize(before);
}

/**
 * What is judged when. Contrast does not depend on the size, nor structure on the colours. Text over
 * a gradient has no one contrast, so axe leaves it open: it is judged on either end of the gradient.
 */
function judged(width, colorScheme) {
  const [all, contrast] = [RULES, null];
  if (width === 320) return [["--paper", colorScheme === "light" ? all : contrast], ["--paper-2", contrast]];
  return width === 1280 && colorScheme === "light" ? [["--paper", all]] : [];
}

/** @param {string[] | null} tags of rules; contrast alone when there are none */
async function assertAccessible(page, paper, tags, where) {
  await plainPaper(page, paper);
  const builder = new AxeBuilder({ page });
  const { violations, incomplete } = await (tags ? builder.withTags(tags) : builder.withRules(["color-contrast"])).analyze();
  await plainPaper(page, null);
  const found = [...violations, ...incomplete.filter(({ id }) => id === "color-contrast")];
  const text = found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
  assert.deepEqual(text, [], `axe: ${where}`);
}

/** Puts one colour in the place of gradients, and away what overlaps; or all as it was. */
async function plainPaper(page, colour) {
  await page.evaluate((name) => {
    for (const element of document.querySelectorAll("body, .controls")) {
      element.style.background = name ? `var(${name})` : "";
    }
    for (const element of document.querySelectorAll(".ring svg")) element.style.visibility = name ? "hidden" : "";
    for (const element of document.querySelectorAll(".fate, .controls")) element.style.position = name ? "static" : "";
  }, colour);
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
