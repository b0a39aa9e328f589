// A question: what is asked, how much time is left, and how the answer fares.

import { countdown } from "../shared/clock.js";
import { fill, h } from "../shared/dom.js";
import { sign } from "../shared/shapes.js";
import { TASKS, count, errorText } from "../shared/words.js";
import { isOpen } from "../shared/outbox.js";
import { controlFor } from "./controls.js";

/**
 * @param {import("./fold.js").State} first
 * @param {(response: import("../shared/wire.js").Response) => void} onAnswer
 */
export function questionScreen(first, onAnswer) {
  const question = first.question;
  const digits = h("span", { class: "digits" });
  const bar = h("i", { class: "left" });
  const control = controlFor(question, onAnswer);
  const fate = h("p", { class: "fate", role: "status" });
  const shell = h("div", { class: "answers" }, control.element);
  const worth = question.kind === "poll" || question.points_max === 0 ? "No points" : question.points_max > 1000 ? "Double points" : null;
  const element = h("section", { class: "screen question" },
    h("div", { class: "clock" },
      h("span", { class: "seconds" }, digits, h("span", { class: "unseen" }, " seconds left")),
      h("span", { class: "track", "aria-hidden": "true" }, bar)),
    h("p", { class: "task" }, TASKS[question.kind] ?? "", worth && h("span", { class: "worth" }, worth)),
    h("h1", { class: "prompt", tabindex: "-1" }, question.prompt),
    shell, fate);
  element.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement;
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (control.onKey?.(event.key)) event.preventDefault();
  });
  let stop = () => {};
  let endsAt = -1;
  let spoken = "";
  return {
    element,
    /**
     * @param {import("./fold.js").State} state
     * @param {import("../shared/outbox.js").Kept | null} kept
     */
    update(state, kept) {
      if (state.endsAt !== endsAt) {
        stop();
        endsAt = state.endsAt;
        stop = countdown({
          endsAt, limitMs: question.limit_ms, digits,
          draw: (share) => { bar.style.transform = `scaleX(${share})`; },
        });
      }
      const locked = kept !== null && kept.status !== "refused";
      const key = `${kept?.submission}${kept?.status}`;
      if (key === spoken) return;
      spoken = key;
      control.show(kept?.response ?? null, locked);
      element.classList.toggle("answered", locked);
      fill(fate, fateOf(kept, state));
      fate.dataset.status = kept?.status ?? "none";
    },
    close: () => stop(),
  };
}

/** How the answer fares, in words and a sign. */
function fateOf(kept, state) {
  switch (kept?.status) {
    case "sending":
      return [spinner(), "Sending …"];
    case "retrying":
      return [spinner(), "Your answer is kept and will be sent."];
    case "received":
      return [sign("check"), h("span", {}, h("strong", {}, "Received"), ` after ${seconds(kept.elapsed_ms)}. ${waitingFor(state.players - 1)}`)];
    case "closed":
      return [sign("clock"), errorText({ code: "question_closed" })];
    case "refused":
      return [sign("cross"), errorText({ code: kept.code })];
    default:
      return [];
  }
}

function waitingFor(others) {
  return others > 0 ? `Waiting for the other ${count(others, "player")}.` : "Waiting for the end.";
}

function spinner() {
  return h("span", { class: "spinner", "aria-hidden": "true" });
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** @param {import("./fold.js").State} first */
export function closedScreen(first) {
  const note = h("p", { class: "soft" });
  return {
    element: h("section", { class: "screen closed" },
      h("div", { class: "card welcome" },
        h("p", { class: "medal" }, sign("clock")),
        h("h1", { class: "title", tabindex: "-1" }, "Time’s up"),
        note),
      h("p", { class: "prompt small" }, first.question.prompt),
      h("p", { class: "waiting", role: "status" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), "Adding up the points")),
    update(_state, kept) {
      fill(note, [closingWords(kept)]);
    },
  };
}

function closingWords(kept) {
  if (!kept) return "You gave no answer to this one.";
  if (kept.status === "received") return "Your answer is in.";
  if (isOpen(kept)) return "Your answer is kept. Asking whether it was in time …";
  return kept.sent ? "Your answer may not have made it. The board will tell." : "Your answer could not be sent in time.";
}
