// The board of a question on the big screen: what was right, how the room answered, who leads.

import { bars, correctAnswer, rightSentence } from "../shared/correct.js";
import { h, say } from "../shared/dom.js";
import { leaders } from "../shared/leaders.js";

const LEADERS = 10;

/**
 * @param {import("./fold.js").State} first
 * @param {{onNext: () => void, onEnd: () => void}} deeds
 */
export function boardScreen(first, { onNext, onEnd }) {
  const { board, game } = first;
  const asked = first.question?.question === board.question ? first.question : null;
  const hasBars = board.distribution.length > 0 && asked?.kind !== "order" && !board.correct.accepted && board.correct.value === undefined;
  const next = h("button", { class: "button big", type: "button", onclick: board.last ? onEnd : onNext }, "");
  const words = board.last ? "Show the podium" : "Next question";
  const element = h("section", { class: "screen board" },
    h("div", { class: "columns" }, h("div", { class: "result" },
      h("p", { class: "task" }, `Question ${board.question + 1} of ${game.questions}`, h("span", { class: "worth" }, rightSentence(board))),
      h("h1", { class: "prompt", tabindex: "-1" }, asked?.prompt ?? `Result of question ${board.question + 1}`),
      hasBars ? bars(board, asked) : correctAnswer(board, asked),
      board.explanation && h("p", { class: "explanation" }, board.explanation)),
    h("div", { class: "card standings" },
      h("h2", { class: "subtitle" }, "Leaders"),
      leaders(board.top.slice(0, LEADERS), { gained: true }))),
    h("div", { class: "controls" }, next));
  return {
    element,
    /** @param {import("./fold.js").State} _state @param {import("./commands.js").Commands} commands */
    update(_state, commands) {
      const isBusy = commands.isPending("open") || commands.isPending("end");
      next.toggleAttribute("disabled", isBusy);
      say(next, isBusy ? "One moment …" : words);
    },
  };
}
