// The shapes of options and a few signs, drawn once as paths on a 24 × 24 field.

import { h, svg } from "./dom.js";
import { letter } from "./wire.js";

const OPTIONS = [
  "M12 1.5a10.5 10.5 0 1 0 0 21a10.5 10.5 0 0 0 0-21z",
  "M5 2h14a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H5a3 3 0 0 1-3-3V5a3 3 0 0 1 3-3z",
  "M10.3 2.6a2 2 0 0 1 3.4 0l9.6 16.4a2 2 0 0 1-1.7 3H2.4a2 2 0 0 1-1.7-3z",
  "M10.6 1.2a2 2 0 0 1 2.8 0l9.4 9.4a2 2 0 0 1 0 2.8l-9.4 9.4a2 2 0 0 1-2.8 0l-9.4-9.4a2 2 0 0 1 0-2.8z",
  "M7.6 2.5h8.8a2 2 0 0 1 1.7 1l4.4 7.5a2 2 0 0 1 0 2l-4.4 7.5a2 2 0 0 1-1.7 1H7.6a2 2 0 0 1-1.7-1L1.5 13a2 2 0 0 1 0-2l4.4-7.5a2 2 0 0 1 1.7-1z",
  "M12 1l3.3 7.2 7.7.8-5.8 5.2 1.7 7.8L12 18l-6.9 4 1.7-7.8L1 9l7.7-.8z",
  "M9 1.5h6V9h7.5v6H15v7.5H9V15H1.5V9H9z",
  "M12 22C4 16 1.2 12.3 1.2 8.3 1.2 5 3.8 2.3 7 2.3c2 0 3.9 1 5 2.8 1.1-1.8 3-2.8 5-2.8 3.2 0 5.8 2.7 5.8 6 0 4-2.8 7.7-10.8 13.7z",
  "M12 1.2l11 8.2-4.2 13.1H5.2L1 9.4z",
  "M12 1c4.2 5.2 7.8 9 7.8 13.7a7.8 7.8 0 0 1-15.6 0C4.2 10 7.8 6.2 12 1z",
  "M21 15.6A10 10 0 1 1 9.2 2.3 8 8 0 0 0 21 15.6z",
  "M12 1.5a10.5 10.5 0 1 0 0 21a10.5 10.5 0 0 0 0-21zm0 6.5a4 4 0 1 1 0 8a4 4 0 0 1 0-8z",
];

const SIGNS = {
  check: "M9.3 19.5L2 12.2l2.8-2.8 4.5 4.5L19.2 4 22 6.8z",
  cross: "M5 2.2l7 7 7-7L21.8 5l-7 7 7 7-2.8 2.8-7-7-7 7L2.2 19l7-7-7-7z",
  dash: "M3 10h18v4H3z",
  half: "M12 2a10 10 0 1 1 0 20a10 10 0 0 1 0-20zm0 3.5v13a6.5 6.5 0 0 0 0-13z",
  clock: "M12 1.5a10.5 10.5 0 1 1 0 21a10.5 10.5 0 0 1 0-21zm0 3.2a7.3 7.3 0 1 0 0 14.6a7.3 7.3 0 0 0 0-14.6zM10.7 7h2.6v4.6l3.2 2.4-1.6 2-4.2-3.2z",
  up: "M12 5l9 9-2.5 2.5L12 10l-6.5 6.5L3 14z",
  down: "M12 19l-9-9 2.5-2.5L12 14l6.5-6.5L21 10z",
  flame: "M13 1c1 4-1 5.5-2.6 7.6C9 10.5 8.7 12 9.2 13.5 8 13 7.3 11.9 7.3 10.3 5.2 12.2 4 14.3 4 16.3 4 20 7.3 23 12 23s8-3 8-7.2C20 10 15.5 7.5 13 1z",
  people: "M8.5 3.5a4 4 0 1 1 0 8a4 4 0 0 1 0-8zM1 20c0-4.2 3.2-6.7 7.5-6.7S16 15.8 16 20zM16 4.3a3.4 3.4 0 1 1 0 6.8a5.6 5.6 0 0 0 0-6.8zM17.5 13.4c3.2.4 5.5 2.7 5.5 6.6h-4.8a9 9 0 0 0-2.7-6.4c.6-.2 1.3-.3 2-.2z",
};

/** @param {string} path @param {string} name a class @returns {SVGElement} */
function drawing(path, name) {
  const attributes = { viewBox: "0 0 24 24", class: name, "aria-hidden": "true", focusable: "false" };
  return svg("svg", attributes, svg("path", { d: path, "fill-rule": "evenodd" }));
}

/** The shape of an option. @param {number} index @returns {SVGElement} */
export function shape(index) {
  return drawing(OPTIONS[index % OPTIONS.length], "shape");
}

/** @param {keyof typeof SIGNS} name @returns {SVGElement} */
export function sign(name) {
  return drawing(SIGNS[name], `sign sign-${name}`);
}

/** Shape and letter of an option. @param {number} index @returns {HTMLElement} */
export function badge(index) {
  return h("span", { class: "badge" }, shape(index), h("span", { class: "letter" }, letter(index)));
}

/** The name of the product with its shapes. @returns {HTMLElement} */
export function wordmark() {
  const mark = h("span", { class: "mark", "aria-hidden": "true" });
  [2, 0, 1].forEach((index) => mark.append(shape(index)));
  return h("span", { class: "wordmark" }, mark, "quizstream");
}
