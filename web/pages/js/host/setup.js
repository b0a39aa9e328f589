// Before a game: which quiz, and how it is played.

import { fill, h, say } from "../shared/dom.js";
import { wordmark } from "../shared/shapes.js";
import { count, errorText } from "../shared/words.js";

const SAMPLE_URL = "/samples/demo.json";
/** The largest quiz file that is read, bytes: what the edge takes. */
const FILE_BYTES_MAX = 2 * 1024 * 1024;
/** Problems of a quiz that are listed. */
const PROBLEMS_MAX = 8;
const CAPACITY_MAX = 200_000;

/**
 * @typedef {{game: string, pin: string, host_token: string, join_url: string}} Created
 */

/** @param {(created: Created) => void} onCreated */
export function setupScreen(onCreated) {
  /** @type {{title: string, questions: any[]} | null} */
  let own = null;
  const trouble = h("div", { class: "trouble", role: "alert", id: "trouble" });
  const about = h("p", { class: "soft", id: "file-about" }, "A quiz in JSON, at most 2 MB.");
  const sample = h("input", { type: "radio", name: "source", value: "sample", id: "source-sample", checked: true });
  const file = h("input", { type: "radio", name: "source", value: "file", id: "source-file" });
  const picker = h("input", { type: "file", id: "file", class: "file", accept: ".json,application/json", "aria-describedby": "file-about", onchange: () => readFile() });
  const capacity = h("input", { type: "text", inputmode: "numeric", id: "capacity", class: "field short", value: "200", maxlength: 6, "aria-describedby": "trouble" });
  const streaks = h("input", { type: "checkbox", id: "streaks", checked: true });
  const button = h("button", { class: "button big", type: "submit" }, "Create the quiz room");

  const complain = (text, problems = []) => {
    const more = problems.length - PROBLEMS_MAX;
    fill(trouble, [text && h("p", {}, text), problems.length > 0 && h("ul", {},
      ...problems.slice(0, PROBLEMS_MAX).map((problem) => h("li", {}, problem)), more > 0 && h("li", {}, `and ${more} more`))]);
  };
  const readFile = async () => {
    own = null;
    complain("");
    const chosen = picker.files?.[0];
    if (!chosen) return;
    file.checked = true;
    if (chosen.size > FILE_BYTES_MAX) return complain("This file is larger than 2 MB.");
    own = readQuiz(await chosen.text());
    if (!own) return complain(errorText({ code: "bad_json" }));
    say(about, `${own.title ?? chosen.name}: ${count(own.questions.length, "question")}`);
  };
  const submit = async (event) => {
    event.preventDefault();
    complain("");
    const players = Number(capacity.value.replace(/[\s,.'’]/g, ""));
    if (!Number.isInteger(players) || players < 1 || players > CAPACITY_MAX) {
      capacity.focus();
      return complain(`Room for 1 to ${CAPACITY_MAX.toLocaleString("en")} players.`);
    }
    if (file.checked && !own) {
      picker.focus();
      return complain("Choose a quiz file first.");
    }
    button.toggleAttribute("disabled", true);
    say(button, "Creating …");
    try {
      const quiz = file.checked ? own : await sampleQuiz();
      onCreated(await create(quiz, { capacity: players, streaks: streaks.checked }));
    } catch (error) {
      complain(error.message, error.problems);
      button.toggleAttribute("disabled", false);
      say(button, "Create the quiz room");
    }
  };
  const element = h("section", { class: "screen setup" },
    h("p", { class: "hero" }, wordmark()),
    h("form", { class: "card stack", novalidate: true, onsubmit: submit },
      h("h1", { class: "title", tabindex: "-1" }, "Host a quiz"),
      h("fieldset", { class: "choices" }, h("legend", {}, "Which quiz?"),
        h("label", { class: "choice", for: "source-sample" }, sample,
          h("span", {}, h("strong", {}, "The sample quiz"), h("small", {}, "A little of everything: 10 questions, all kinds"))),
        h("div", { class: "choice own-file" },
          h("label", { class: "choice-label", for: "source-file" }, file, h("span", {}, h("strong", {}, "Your own quiz"), about)),
          h("label", { for: "file", class: "unseen" }, "Quiz file"), picker)),
      h("fieldset", { class: "choices" }, h("legend", {}, "How is it played?"),
        h("div", { class: "labelled inline" }, h("label", { for: "capacity" }, "Room for players"), capacity),
        h("label", { class: "choice flat", for: "streaks" }, streaks,
          h("span", {}, h("strong", {}, "Streaks"), h("small", {}, "Extra points for right answers in a row")))),
      trouble, button),
    h("p", { class: "aside" }, "Want to play instead? ", h("a", { href: "/" }, "Join with a PIN")));
  return { element, update() {} };
}

/** @param {string} text @returns {any} a quiz, or null */
export function readQuiz(text) {
  try {
    const quiz = JSON.parse(text);
    return Array.isArray(quiz?.questions) ? quiz : null;
  } catch {
    return null;
  }
}

async function sampleQuiz() {
  const response = await reach(SAMPLE_URL);
  if (!response.ok) throw new Error("The sample quiz is not there.");
  return response.json();
}

/** @returns {Promise<Created>} */
async function create(quiz, settings) {
  const response = await reach("/v1/games", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ quiz, settings }),
  });
  const body = await response.json().catch(() => ({ code: "unavailable" }));
  if (response.ok) return body;
  const text = body.code === "unavailable" ? "The quiz service is not ready. Try again in a moment." : errorText({ code: body.code, message: body.title });
  throw Object.assign(new Error(text), { problems: [...(body.problems ?? []), ...(body.detail ? [body.detail] : [])] });
}

/** @param {string} url @param {RequestInit} [init] */
async function reach(url, init) {
  try {
    return await fetch(url, init);
  } catch {
    throw new Error("The server cannot be reached. Is the network there?");
  }
}
