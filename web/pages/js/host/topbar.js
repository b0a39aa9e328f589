// The host's line at the top: the PIN for those who come late, and the way out.

import { fill, h } from "../shared/dom.js";
import { sign, wordmark } from "../shared/shapes.js";
import { count } from "../shared/words.js";

/**
 * @param {HTMLElement} element
 * @param {() => void} onEnd
 */
export function topbar(element, onEnd) {
  return {
    /** @param {import("./fold.js").State} state */
    update(state) {
      element.hidden = state.game === null;
      document.title = state.game ? `${state.game.title} · host` : "Host a quiz · quizstream";
      if (!state.game) return;
      const { pin } = state.game;
      const shows = state.question || state.board;
      fill(element, [
        wordmark(),
        h("span", { class: "facts" },
          shows && !state.over && h("span", { class: "pin-small" }, "PIN ", h("strong", {}, `${pin.slice(0, 3)} ${pin.slice(3)}`)),
          shows && !state.over && h("span", { class: "people" }, sign("people"), count(state.players, "player"))),
        !state.over && (element.querySelector(".end") ?? h("button", { class: "link end", type: "button", onclick: onEnd }, "End the quiz")),
      ]);
    },
  };
}
