// The end: the podium, and where the player stands.

import { h } from "../shared/dom.js";
import { leaders, podium } from "../shared/leaders.js";
import { number, ordinal } from "../shared/words.js";

/** Rows below the podium. */
const ROWS = 10;

/**
 * @param {import("./fold.js").State} state
 * @param {() => void} onLeave
 */
export function overScreen(state, onLeave) {
  const { over, outcome, me } = state;
  const own = outcome && h("div", { class: `verdict ${outcome.rank <= 3 ? "good" : "part"}` },
    h("p", { class: "final" }, "You finished"),
    h("p", { class: "final-rank" }, ordinal(outcome.rank), h("small", {}, ` of ${number(outcome.players)}`)),
    h("p", {}, `${number(outcome.total)} points`));
  const element = h("section", { class: "screen over" },
    h("h1", { class: "title centred", tabindex: "-1" }, endWords(over, me.title)),
    own || null,
    over.top.length > 0 ? podium(over.top, me.nickname) : h("p", { class: "soft centred" }, "Nobody has points: no question was played."),
    over.top.length > 3 && h("div", { class: "card" }, leaders(over.top.slice(0, ROWS), { own: me.nickname, gained: false })),
    h("button", { class: "button second", type: "button", onclick: onLeave }, "Join another quiz"));
  return { element, update() {} };
}

function endWords(over, title) {
  return over.reason === "expired" ? "This quiz has ended" : `${title}: the podium`;
}
