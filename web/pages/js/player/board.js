// After a question: the player's own outcome first, then the right answer and the leaders.

import { h } from "../shared/dom.js";
import { sign } from "../shared/shapes.js";
import { leaders } from "../shared/leaders.js";
import { VERDICTS, number, ordinal } from "../shared/words.js";
import { bars, correctAnswer } from "../shared/correct.js";
import { ownOutcome } from "./fold.js";

/** How many leaders a phone shows. */
const LEADERS = 5;
/** How long an own outcome may be on its way, ms. */
const OUTCOME_WAIT_MS = 4_000;

/** @param {import("./fold.js").State} first */
export function boardScreen(first) {
  const verdict = h("div", { class: "verdict-slot" });
  const board = first.board;
  const asked = first.question?.question === board.question ? first.question : null;
  const element = h("section", { class: "screen board" }, verdict,
    h("div", { class: "card stack tight" },
      asked && h("p", { class: "prompt small" }, asked.prompt),
      correctAnswer(board, asked),
      asked?.kind === "poll" && bars(board, asked),
      board.explanation && h("p", { class: "explanation" }, board.explanation)),
    h("div", { class: "card stack tight" },
      h("h2", { class: "subtitle" }, "Leaders"),
      leaders(board.top.slice(0, LEADERS), { own: first.me.nickname, gained: true })),
    h("p", { class: "waiting" }, board.last ? "That was the last question. The podium comes next." : "Look up: the next question comes soon."));
  let shown = null;
  const timer = setTimeout(() => shown || verdict.replaceChildren(noOutcome()), OUTCOME_WAIT_MS);
  verdict.append(pendingOutcome());
  return {
    element,
    update(state) {
      const outcome = ownOutcome(state);
      if (!outcome || outcome === shown) return;
      shown = outcome;
      verdict.replaceChildren(verdictCard(outcome));
    },
    close: () => clearTimeout(timer),
  };
}

function pendingOutcome() {
  return h("div", { class: "verdict none" }, h("h1", { class: "title", tabindex: "-1" }, "Your result is on its way"));
}

function noOutcome() {
  return h("div", { class: "verdict none" }, h("h1", { class: "title", tabindex: "-1" }, "You came after this question"),
    h("p", {}, "You are in from the next one on."));
}

/** @param {import("../shared/wire.js").Outcome} outcome */
function verdictCard(outcome) {
  const { title, look, icon } = VERDICTS[outcome.verdict] ?? { title: "Done", look: "none", icon: "dash" };
  return h("div", { class: `verdict ${look}` },
    h("div", { class: "verdict-head" },
      h("span", { class: "medal" }, sign(/** @type {any} */ (icon))),
      h("h1", { class: "title", tabindex: "-1" }, title),
      look !== "poll" && h("p", { class: "gain" }, `+${number(outcome.points)}`, h("span", { class: "unseen" }, " points"))),
    h("dl", { class: "standing" },
      h("div", {}, h("dt", {}, "Place"), h("dd", {}, ordinal(outcome.rank), h("small", {}, `of ${number(outcome.players)}`))),
      h("div", {}, h("dt", {}, "Points"), h("dd", {}, number(outcome.total))),
      outcome.streak > 1
        ? h("div", {}, h("dt", {}, "Streak"), h("dd", { class: "streak" }, sign("flame"), outcome.streak))
        : null),
    h("p", { class: "gap" }, gapText(outcome)));
}

/** @param {import("../shared/wire.js").Outcome} outcome */
export function gapText(outcome) {
  if (outcome.rank === 1) return outcome.players > 1 ? "Nobody is ahead of you." : "You are the only player.";
  return `${number(outcome.gap)} ${outcome.gap === 1 ? "point" : "points"} behind the next place up.`;
}

/** What is spoken of an outcome. @param {import("../shared/wire.js").Outcome} outcome */
export function spokenOutcome(outcome) {
  const title = VERDICTS[outcome.verdict]?.title ?? "";
  return `${title}. ${number(outcome.points)} points. You are ${ordinal(outcome.rank)} of ${outcome.players} with ${number(outcome.total)} points.`;
}

