// Says how the connection is, and offers what can be done about it.

import { fill, h } from "./dom.js";

/** How long there may be no connection before anybody is told, ms: most come back sooner. */
const PATIENCE_MS = 700;

/**
 * @param {HTMLElement} element a status region
 * @param {() => void} onRetry
 * @param {(() => void) | null} onLeave null where leaving would lose the game
 */
export function connectionBar(element, onRetry, onLeave) {
  let timer = 0;
  let isTrouble = false;
  let isSeated = false;
  const actions = [
    h("button", { class: "link", type: "button", onclick: onRetry }, "Try now"),
    onLeave && h("button", { class: "link", type: "button", onclick: onLeave }, "Leave"),
  ];
  const draw = () => {
    element.dataset.state = isTrouble ? "trouble" : "fine";
    const text = h("span", { class: "text" }, words(isSeated));
    fill(element, isTrouble ? [h("span", { class: "spinner", "aria-hidden": "true" }), text, ...(isSeated ? actions : [])] : []);
  };
  const tell = () => {
    isTrouble = true;
    draw();
  };
  return {
    /**
     * @param {import("./link.js").LinkState} state
     * @param {boolean} seated whether there is a seat to come back to
     */
    show(state, seated) {
      document.body.dataset.connection = state;
      isSeated = seated;
      if (state === "open" || state === "stopped") {
        clearTimeout(timer);
        timer = 0;
        isTrouble = false;
        draw();
      } else if (isTrouble || !navigator.onLine) {
        tell();
      } else {
        timer ||= setTimeout(tell, PATIENCE_MS);
      }
    },
  };
}

function words(isSeated) {
  if (!navigator.onLine) return "You are offline. Waiting for the network …";
  return isSeated ? "Reconnecting…" : "Connecting…";
}
