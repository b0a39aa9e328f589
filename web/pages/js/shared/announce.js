// What a screen reader is told beyond what has the focus.

import { byId } from "./dom.js";

/**
 * @param {string} text
 * @param {"polite" | "urgent"} [how]
 */
export function announce(text, how = "polite") {
  const region = byId(how);
  // The same text twice is two pieces of news, so the region is emptied in between.
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, 50);
}
