// "You're in": waiting for the first question.

import { fill, h, say } from "../shared/dom.js";
import { sign } from "../shared/shapes.js";
import { count } from "../shared/words.js";

/** @param {import("./fold.js").State} first */
export function lobbyScreen(first) {
  const me = first.me;
  const number = h("span", {});
  const names = h("ul", { class: "names", "aria-label": "Players who have joined" });
  const element = h("section", { class: "screen lobby" },
    h("div", { class: "card welcome" },
      h("p", { class: "medal good" }, sign("check")),
      h("h1", { class: "title", tabindex: "-1" }, "You’re in, ", h("bdi", {}, me.nickname), "!"),
      h("p", { class: "soft" }, "Do you see your name on the big screen?"),
    ),
    h("div", { class: "quiz-line" },
      h("p", { class: "quiz-title" }, me.title),
      h("p", { class: "soft" }, count(me.questions, "question")),
    ),
    h("p", { class: "waiting", role: "status" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      "Waiting for the host to start"),
    h("p", { class: "people" }, sign("people"), number),
    names,
  );
  return {
    element,
    /** @param {import("./fold.js").State} state */
    update(state) {
      say(number, count(state.players, "player"));
      fill(names, state.names.map((name) =>
        h("li", { class: name.player === me.player ? "name own" : "name" }, h("bdi", {}, name.nickname))));
    },
  };
}
