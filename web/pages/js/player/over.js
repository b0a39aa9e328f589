// The end: the podium, and where the player stands.

import { fill, h } from "../shared/dom.js";
import { leaders, podium } from "../shared/leaders.js";
import { number, ordinal } from "../shared/words.js";

/** Rows of the list below the podium. */
const ROWS = 10;

/**
 * @param {import("./fold.js").State} first
 * @param {() => void} onLeave
 */
export function overScreen(first, onLeave) {
  const { over, me } = first;
  const own = h("div", { class: "own-slot" });
  const element = h("section", { class: "screen over" },
    h("h1", { class: "title centred", tabindex: "-1" }, me.title),
    own,
    over.top.length > 0 ? podium(over.top, me.nickname) : h("p", { class: "soft centred" }, "Nobody has points: no question was played."),
    over.top.length > 3 && h("div", { class: "card" }, leaders(over.top.slice(0, ROWS), { own: me.nickname, gained: false })),
    h("button", { class: "button second", type: "button", onclick: onLeave }, "Join another quiz"));
  let shown = null;
  return {
    element,
    /** After a reload the own outcome comes last. @param {import("./fold.js").State} state */
    update({ outcome }) {
      if (!outcome || outcome === shown) return;
      shown = outcome;
      fill(own, [h("div", { class: `verdict ${outcome.rank <= 3 ? "good" : "part"}` },
        h("p", { class: "final" }, "You finished"),
        h("p", { class: "final-rank" }, ordinal(outcome.rank), h("small", {}, ` of ${number(outcome.players)}`)),
        h("p", {}, `${number(outcome.total)} points`))]);
    },
  };
}
