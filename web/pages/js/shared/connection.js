// Says how the connection is, and offers what can be done about it.

import { fill, h } from "./dom.js";

/** How long a connection may take before anybody is told, ms. */
const PATIENCE_MS = 1_200;

/**
 * @param {HTMLElement} element a status region
 * @param {() => void} onRetry
 * @param {(() => void) | null} onLeave null where leaving would lose the game
 */
export function connectionBar(element, onRetry, onLeave) {
  let timer = 0;
  const draw = (text, actions) => {
    element.dataset.state = text ? "trouble" : "fine";
    fill(element, text ? [h("span", { class: "spinner", "aria-hidden": "true" }), h("span", { class: "text" }, text), ...actions] : []);
  };
  const actions = () => [
    h("button", { class: "link", type: "button", onclick: onRetry }, "Try now"),
    onLeave && h("button", { class: "link", type: "button", onclick: onLeave }, "Leave"),
  ];
  return {
    /**
     * @param {import("./link.js").LinkState} state
     * @param {boolean} isSeated
     */
    show(state, isSeated) {
      document.body.dataset.connection = state;
      clearTimeout(timer);
      if (state === "open" || state === "stopped") {
        draw("", []);
      } else if (state === "waiting") {
        const text = navigator.onLine ? "Connection lost. Coming back …" : "You are offline. Waiting for the network …";
        draw(text, isSeated ? actions() : []);
      } else if (element.dataset.state !== "trouble") {
        timer = setTimeout(() => draw("Connecting …", []), PATIENCE_MS);
      }
    },
  };
}
