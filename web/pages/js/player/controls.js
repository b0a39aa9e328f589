// How each kind of question is answered.

import { fill, h, say } from "../shared/dom.js";
import { badge, sign } from "../shared/shapes.js";
import { TEXT_CHARS_MAX, letter } from "../shared/wire.js";

/**
 * @typedef {object} Control
 * @property {HTMLElement} element
 * @property {(key: string) => boolean} [onKey] a digit from "1" or a letter from "A"; whether it meant something
 * @property {(response: import("../shared/wire.js").Response | null, locked: boolean) => void} show
 *   what was sent, and whether anything can still be changed
 */

/**
 * @param {import("../shared/wire.js").Question} question
 * @param {(response: import("../shared/wire.js").Response) => void} onAnswer
 * @returns {Control}
 */
export function controlFor(question, onAnswer) {
  switch (question.kind) {
    case "single":
    case "true_false":
    case "poll":
      return pickOne(question, onAnswer);
    case "multiple":
      return pickSome(question, onAnswer);
    case "order":
      return putInOrder(question, onAnswer);
    case "text":
      return typeText(onAnswer);
    case "number":
      return typeNumber(onAnswer);
    default:
      return { element: h("p", { class: "trouble" }, "This page is too old for this question. Reload it."), show() {} };
  }
}

/** The options as the player sees them. @param {import("../shared/wire.js").Question} question */
export function optionsOf(question) {
  return question.kind === "true_false" && question.options.length === 0 ? ["True", "False"] : question.options;
}

function tile(index, text, attributes) {
  return h("button", { class: `option opt-${index}`, type: "button", "aria-keyshortcuts": `${letter(index)} ${index + 1}`, ...attributes },
    badge(index), h("span", { class: "text" }, text));
}

/** @param {string} key @param {number} options @returns {number} an index, or -1 */
export function optionOfKey(key, options) {
  const upper = key.toUpperCase();
  const at = /^[1-9]$/.test(key) ? Number(key) - 1 : /^[A-L]$/.test(upper) ? upper.charCodeAt(0) - 65 : -1;
  return at < options ? at : -1;
}

function pickOne(question, onAnswer) {
  const tiles = optionsOf(question).map((text, index) =>
    tile(index, text, { "aria-pressed": "false", onclick: () => onAnswer({ picks: [index] }) }));
  return {
    element: h("div", { class: `options count-${tiles.length}`, role: "group", "aria-label": "Answers" }, ...tiles),
    onKey: (key) => press(tiles, key),
    show(response, locked) {
      const picked = response && "picks" in response ? response.picks[0] : -1;
      tiles.forEach((each, index) => mark(each, index === picked, locked));
    },
  };
}

function pickSome(question, onAnswer) {
  const chosen = new Set();
  const send = h("button", { class: "button big send", type: "button", onclick: () => onAnswer({ picks: [...chosen].sort((a, b) => a - b) }) });
  const draw = (locked) => {
    tiles.forEach((each, index) => mark(each, chosen.has(index), locked));
    send.toggleAttribute("disabled", locked || chosen.size === 0);
    say(send, chosen.size === 0 ? "Choose first, then send" : `Send ${chosen.size === 1 ? "1 choice" : `${chosen.size} choices`}`);
  };
  const tiles = question.options.map((text, index) => {
    const toggle = () => {
      if (!chosen.delete(index)) chosen.add(index);
      draw(false);
    };
    const each = tile(index, text, { "aria-pressed": "false", onclick: toggle });
    each.append(h("span", { class: "box" }, sign("check")));
    return each;
  });
  return {
    element: h("div", { class: "stack" },
      h("div", { class: `options some count-${tiles.length}`, role: "group", "aria-label": "Answers" }, ...tiles), send),
    onKey: (key) => press(tiles, key),
    show(response, locked) {
      if (response && "picks" in response) {
        chosen.clear();
        response.picks.forEach((index) => chosen.add(index));
      }
      draw(locked);
    },
  };
}

function putInOrder(question, onAnswer) {
  /** @type {number[]} */
  let placed = [];
  const list = h("ol", { class: "order" });
  const hint = h("p", { class: "soft hint" });
  const send = h("button", { class: "button big send", type: "button", onclick: () => onAnswer({ picks: [...placed] }) });
  let isLocked = false;
  const change = (next, focus) => {
    placed = next;
    draw();
    /** @type {HTMLElement | null} */ (list.querySelector(focus))?.focus();
  };
  const place = (index) => {
    const next = [...placed, index];
    const rest = question.options.map((_, each) => each).filter((each) => !next.includes(each));
    // The last one has only one place left.
    if (rest.length === 1) next.push(rest[0]);
    change(next, next.length === question.options.length ? ".none" : "button.option");
    if (next.length === question.options.length) send.focus();
  };
  const move = (at, by) => {
    const next = [...placed];
    [next[at], next[at + by]] = [next[at + by], next[at]];
    const way = by < 0 ? "up" : "down";
    const reached = at + by;
    const edge = by < 0 ? reached === 0 : reached === next.length - 1;
    change(next, `li:nth-child(${reached + 1}) .${edge ? (way === "up" ? "down" : "up") : way}`);
  };
  const row = (index, at) => {
    const text = question.options[index];
    const step = (way, by, free) => h("button", {
      class: `step ${way}`, type: "button", disabled: isLocked || !free,
      "aria-label": `Move ${text} ${way}`, onclick: () => move(at, by),
    }, sign(way));
    return h("li", { class: `placed opt-${index}` }, h("span", { class: "place" }, at + 1), badge(index), h("span", { class: "text" }, text),
      h("span", { class: "steps" }, step("up", -1, at > 0), step("down", 1, at < placed.length - 1)));
  };
  const draw = () => {
    const rest = question.options.map((_, index) => index).filter((index) => !placed.includes(index));
    fill(list, [
      ...placed.map(row),
      ...rest.map((index) => h("li", {}, tile(index, question.options[index], {
        disabled: isLocked, onclick: () => place(index), "aria-label": `${question.options[index]}: place as number ${placed.length + 1}`,
      }))),
    ]);
    const done = rest.length === 0;
    say(hint, done ? "Use the arrows to change the order." : `Tap what comes ${["first", "second", "third", "fourth"][placed.length] ?? "next"}.`);
    send.toggleAttribute("disabled", isLocked || !done);
    say(send, done ? "Send this order" : `${rest.length} still to place`);
  };
  return {
    element: h("div", { class: "stack" }, hint, list, send),
    onKey(key) {
      const index = optionOfKey(key, question.options.length);
      if (index < 0 || isLocked || placed.includes(index)) return false;
      place(index);
      return true;
    },
    show(response, locked) {
      const sent = response && "picks" in response ? response.picks : null;
      isLocked = locked;
      if (sent) placed = [...sent];
      list.classList.toggle("locked", locked);
      draw();
    },
  };
}

function typed({ attributes, label, parse, wrong, textOf, onAnswer }) {
  const trouble = h("p", { class: "trouble", id: "answer-trouble", role: "alert" });
  const field = h("input", {
    id: "answer", class: "field answer", autocomplete: "off", enterkeyhint: "send", "aria-describedby": "answer-trouble", ...attributes,
  });
  const send = h("button", { class: "button big send", type: "submit" }, "Send");
  const submit = (event) => {
    event.preventDefault();
    const response = parse(field.value.trim());
    say(trouble, response ? "" : wrong);
    if (response) onAnswer(response);
    else field.focus();
  };
  return {
    element: h("form", { class: "stack typed", novalidate: true, onsubmit: submit },
      h("div", { class: "labelled" }, h("label", { for: "answer" }, label), field), trouble, send),
    show(response, locked) {
      if (response) field.value = textOf(response);
      field.toggleAttribute("readonly", locked);
      send.toggleAttribute("disabled", locked);
    },
  };
}

function typeText(onAnswer) {
  return typed({
    attributes: { maxlength: TEXT_CHARS_MAX, autocapitalize: "off", spellcheck: "false" },
    label: "Your answer",
    parse: (text) => (text ? { text } : null),
    wrong: "Type an answer first.",
    textOf: (response) => response.text,
    onAnswer,
  });
}

/**
 * A number as people write it: with a comma or a point, and gaps or apostrophes between thousands.
 * @param {string} text
 * @returns {number | null}
 */
export function numberFrom(text) {
  const plain = text.replace(/[\s'’_]/g, "").replace("−", "-").replace(",", ".");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain)) return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}

function typeNumber(onAnswer) {
  return typed({
    attributes: { inputmode: "decimal", maxlength: 40 },
    label: "Your number",
    parse(text) {
      const number = numberFrom(text);
      return number === null ? null : { number };
    },
    wrong: "Type a number such as 12 or 3.5.",
    textOf: (response) => String(response.number),
    onAnswer,
  });
}

function press(tiles, key) {
  const index = optionOfKey(key, tiles.length);
  if (index < 0) return false;
  tiles[index].click();
  return true;
}

function mark(element, picked, locked) {
  element.setAttribute("aria-pressed", String(picked));
  element.classList.toggle("picked", picked);
  element.classList.toggle("passed", locked && !picked);
  element.toggleAttribute("disabled", locked);
}
