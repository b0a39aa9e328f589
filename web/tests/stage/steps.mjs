// Steps that follow on each other: the first that fails ends the test, and says where it stood.

import path from "node:path";
import { mkdir } from "node:fs/promises";
import { FOLDER } from "./look.mjs";

/**
 * @param {import("node:test").TestContext} t
 * @param {() => Record<string, {page: import("playwright-core").Page, faults: string[]}>} windows
 *   which are pictured at a failure
 * @returns {(name: string, body: () => unknown) => Promise<void>}
 */
export function steps(t, windows) {
  return async (name, body) => {
    const begun = performance.now();
    try {
      await body();
      t.diagnostic(`${name}: ${Math.round(performance.now() - begun)} ms`);
    } catch (error) {
      await mkdir(FOLDER, { recursive: true });
      for (const [who, { page, faults }] of Object.entries(windows())) {
        await page.screenshot({ path: path.join(FOLDER, `failed-${who}.png`) }).catch(() => {});
        for (const fault of faults) t.diagnostic(`${who}: ${fault}`);
      }
      throw new Error(`step "${name}": ${error.message}`, { cause: error });
    }
  };
}
