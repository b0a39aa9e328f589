// The open question on the big screen.

import { countdown } from "../shared/clock.js";
import { fill, h, say, svg } from "../shared/dom.js";
import { badge, sign } from "../shared/shapes.js";
import { TASKS, count, number } from "../shared/words.js";

const RADIUS = 44;
const ROUND = 2 * Math.PI * RADIUS;

const STOPPED = {
  deadline: "Time’s up",
  host: "Closed",
  all_answered: "Everybody has answered",
};

/**
 * @param {import("./fold.js").State} first
 * @param {() => void} onClose
 */
export function questionScreen(first, onClose) {
  const question = first.question;
  const digits = h("span", { class: "digits" });
  const arc = svg("circle", { class: "arc", cx: 50, cy: 50, r: RADIUS, "stroke-dasharray": ROUND, "stroke-dashoffset": 0 });
  const ring = h("div", { class: "ring" },
    svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, svg("circle", { class: "track", cx: 50, cy: 50, r: RADIUS }), arc),
    digits, h("span", { class: "unseen" }, " seconds left"));
  const answered = h("strong", { class: "figure" });
  const players = h("span", {});
  const filled = h("i", { class: "bar" });
  const status = h("p", { class: "status", role: "status" });
  const close = h("button", { class: "button second", type: "button", onclick: onClose }, "Close now");
  const element = h("section", { class: "screen question" },
    h("div", { class: "ask" },
      h("div", {},
        h("p", { class: "task" }, `Question ${question.question + 1} of ${question.of}`, h("span", { class: "worth" }, TASKS[question.kind] ?? ""),
          question.points_max > 1000 && h("span", { class: "worth double" }, "Double points")),
        h("h1", { class: "prompt", tabindex: "-1" }, question.prompt)),
      ring),
    options(question),
    h("div", { class: "controls spread" },
      h("div", { class: "progress" },
        h("p", {}, sign("people"), answered, players),
        h("span", { class: "bar-track", "aria-hidden": "true" }, filled)),
      status, close));
  let stop = () => {};
  let endsAt = -1;
  return {
    element,
    /** @param {import("./fold.js").State} state @param {import("./commands.js").Commands} commands */
    update(state, commands) {
      if (state.accepting && state.endsAt !== endsAt) {
        stop();
        endsAt = state.endsAt;
        stop = countdown({
          endsAt, limitMs: question.limit_ms, digits,
          draw: (share) => { arc.style.strokeDashoffset = String(ROUND * (1 - share)); },
        });
      }
      if (!state.accepting) {
        stop();
        say(digits, "0");
        arc.style.strokeDashoffset = String(ROUND);
      }
      say(answered, number(state.answered));
      say(players, ` of ${count(state.players, "player")} answered`);
      filled.style.width = `${Math.min(100, Math.round((state.answered / Math.max(1, state.players)) * 100))}%`;
      element.classList.toggle("stopped", !state.accepting);
      fill(status, state.accepting ? [] : [h("strong", {}, STOPPED[state.stopped] ?? "Closed"), " Adding up the points …"]);
      close.toggleAttribute("disabled", !state.accepting || commands.isPending("close"));
    },
    close: () => stop(),
  };
}

function options(question) {
  const texts = question.kind === "true_false" && question.options.length === 0 ? ["True", "False"] : question.options;
  if (texts.length === 0) {
    return h("p", { class: "type-it" }, question.kind === "number" ? "Type a number on your phone" : "Type the answer on your phone");
  }
  return h("ul", { class: `options count-${texts.length}`, "aria-label": "Answers" },
    ...texts.map((text, index) => h("li", { class: `option opt-${index}` }, badge(index), h("span", { class: "text" }, text))));
}
