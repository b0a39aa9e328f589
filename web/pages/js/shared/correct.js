// The right answer of a question, and how the room answered.

import { h } from "./dom.js";
import { badge, sign } from "./shapes.js";
import { count, number } from "./words.js";
import { letter } from "./wire.js";

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 10 });

/**
 * The right answer in words. `asked` may be gone: who came later has only the numbers of options.
 * @param {import("./wire.js").Board} board
 * @param {import("./wire.js").Question | null} asked
 */
export function correctAnswer(board, asked) {
  const { picks, accepted, value, tolerance } = board.correct;
  if (picks) {
    const isOrder = asked?.kind === "order";
    const label = isOrder ? "Right order" : picks.length > 1 ? "Right answers" : "Right answer";
    const rows = picks.map((index) => h("li", { class: `answer-row opt-${index}` }, badge(index),
      h("span", { class: "text" }, optionText(asked, index))));
    return h("div", { class: "right" }, h("p", { class: "label" }, sign("check"), label),
      h(isOrder ? "ol" : "ul", { class: `answer-rows${isOrder ? " ordered" : ""}` }, ...rows));
  }
  if (accepted) return words(accepted.length > 1 ? "Accepted answers" : "Right answer", accepted.join(" · "));
  if (value !== undefined) {
    const around = tolerance ? ` (± ${plain.format(tolerance)})` : "";
    return words("Right answer", `${plain.format(value)}${around}`);
  }
  return h("p", { class: "soft" }, "A poll: there is no right or wrong.");
}

function words(label, text) {
  return h("div", { class: "right" }, h("p", { class: "label" }, sign("check"), label), h("p", { class: "answer-words" }, text));
}

/** @param {import("./wire.js").Question | null} asked @param {number} index */
export function optionText(asked, index) {
  if (asked?.options[index] !== undefined) return asked.options[index];
  return asked?.kind === "true_false" ? ["True", "False"][index] : `Answer ${letter(index)}`;
}

/**
 * One bar an option, the right ones marked with a sign and words.
 * @param {import("./wire.js").Board} board
 * @param {import("./wire.js").Question | null} asked
 */
export function bars(board, asked) {
  const most = Math.max(1, ...board.distribution);
  const right = board.correct.picks ?? [];
  return h("ol", { class: "bars" }, ...board.distribution.map((picked, index) => {
    const isRight = right.includes(index);
    const look = right.length === 0 ? "" : isRight ? " is-right" : " is-wrong";
    const bar = h("i", { class: "bar" });
    bar.style.width = `${Math.round((picked / most) * 100)}%`;
    return h("li", { class: `opt-${index}${look}` },
      h("div", { class: "bar-label" }, badge(index), h("span", { class: "text" }, optionText(asked, index)),
        isRight && h("span", { class: "tick" }, sign("check"), "right"),
        h("span", { class: "picked" }, number(picked), h("span", { class: "unseen" }, picked === 1 ? " pick" : " picks"))),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar));
  }));
}

/** How many were right, in a sentence. @param {import("./wire.js").Board} board */
export function rightSentence(board) {
  const answered = count(board.answered, "answer");
  const hasKey = board.correct.picks || board.correct.accepted || board.correct.value !== undefined;
  return hasKey ? `${number(board.correct_count)} right out of ${answered}` : answered;
}
