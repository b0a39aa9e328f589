// Lists of who leads, and the podium.

import { h } from "./dom.js";
import { number, ordinal } from "./words.js";

/**
 * @param {import("./wire.js").BoardLine[]} lines
 * @param {{own?: string, gained: boolean}} options whose line is marked; whether points of the last question are shown
 */
export function leaders(lines, { own, gained }) {
  if (lines.length === 0) return h("p", { class: "soft" }, "Nobody is on the board yet.");
  return h("ol", { class: "leaders" }, ...lines.map((line) => {
    const isOwn = line.nickname === own;
    const look = `${isOwn ? "own " : ""}${line.rank === 1 ? "first" : ""}`;
    return h("li", { class: look || null },
      h("span", { class: "rank" }, line.rank),
      h("bdi", { class: "who" }, line.nickname),
      isOwn && h("span", { class: "you" }, "you"),
      gained && line.points > 0 ? h("span", { class: "plus" }, `+${number(line.points)}`) : null,
      h("span", { class: "total" }, number(line.total)));
  }));
}

/**
 * The first three, the winner in the middle. Ties share a place, so a place may be there twice.
 * @param {import("./wire.js").BoardLine[]} top
 * @param {string} [own]
 */
export function podium(top, own) {
  const steps = top.slice(0, 3).map((line, at) =>
    h("li", { class: `step-${at + 1} place-${line.rank}${line.nickname === own ? " own" : ""}` },
      h("bdi", { class: "who" }, line.nickname),
      h("span", { class: "total" }, number(line.total)),
      h("span", { class: "block" }, h("span", { class: "unseen" }, "place "), ordinal(line.rank))));
  return h("ol", { class: `podium of-${steps.length}`, "aria-label": "Podium" }, ...steps);
}
