// The player's line at the top: who, which question, how many points.

import { fill, h } from "../shared/dom.js";
import { number, ordinal } from "../shared/words.js";

/** @param {HTMLElement} element */
export function topbar(element) {
  return {
    /** @param {import("./fold.js").State} state */
    update(state) {
      element.hidden = state.me === null;
      document.title = titleOf(state);
      if (!state.me) return;
      const at = state.board ?? state.question;
      const { outcome } = state;
      fill(element, [
        h("span", { class: "who" }, h("bdi", {}, state.me.nickname)),
        at && !state.over && h("span", { class: "at" }, `${at.question + 1} / ${state.me.questions}`,
          h("span", { class: "unseen" }, " questions")),
        outcome && h("span", { class: "score" }, h("strong", {}, number(outcome.total)), h("span", { class: "word" }, " points"), " · ", ordinal(outcome.rank)),
      ]);
    },
  };
}

function titleOf(state) {
  if (!state.me) return "Join a quiz · quizstream";
  if (state.over) return `Podium · ${state.me.title}`;
  if (state.board) return `Result ${state.board.question + 1} · ${state.me.title}`;
  if (state.question) return `Question ${state.question.question + 1} · ${state.me.title}`;
  return `Lobby · ${state.me.title}`;
}
