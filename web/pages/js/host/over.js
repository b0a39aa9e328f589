// The podium on the big screen.

import { h } from "../shared/dom.js";
import { leaders, podium } from "../shared/leaders.js";
import { count } from "../shared/words.js";

const ROWS = 10;

/**
 * @param {import("./fold.js").State} state
 * @param {() => void} onAgain
 */
export function overScreen(state, onAgain) {
  const { over, game } = state;
  const rest = over.top.filter((_, at) => at >= 3 && at < ROWS);
  const element = h("section", { class: "screen over" },
    h("div", { class: "over-head" },
      h("h1", { class: "title", tabindex: "-1" }, game.title),
      h("p", { class: "soft" }, `${count(over.players, "player")} · ${endWords(over.reason)}`)),
    h("div", { class: "finish" },
      over.top.length > 0 ? podium(over.top) : h("p", { class: "soft" }, "Nobody has points: no question was played."),
      rest.length > 0 && h("div", { class: "card" }, leaders(rest, { gained: false }))),
    h("div", { class: "controls" }, h("button", { class: "button big", type: "button", onclick: onAgain }, "Host another quiz")));
  return { element, update() {} };
}

function endWords(reason) {
  if (reason === "finished") return "all questions played";
  return reason === "expired" ? "ended, since nobody touched it" : "ended by the host";
}
