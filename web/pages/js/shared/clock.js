// A countdown that is drawn on every frame and spoken at a few seconds.

import { say } from "./dom.js";
import { announce } from "./announce.js";

/** Seconds at which the time left is spoken. */
const MILESTONES_S = [30, 10, 5];

/** Monotonic ms. @returns {number} */
export function now() {
  return performance.now();
}

/**
 * Runs a countdown until `endsAt`.
 * @param {object} options
 * @param {number} options.endsAt on the clock of {@link now}
 * @param {number} options.limitMs the whole of it
 * @param {HTMLElement} options.digits gets the seconds
 * @param {(share: number) => void} options.draw gets what is left, 1 to 0
 * @returns {() => void} stops it
 */
export function countdown({ endsAt, limitMs, digits, draw }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let frame = 0;
  let spoken = Infinity;
  const step = () => {
    const leftMs = Math.max(0, endsAt - now());
    const seconds = Math.ceil(leftMs / 1000);
    say(digits, String(seconds));
    digits.parentElement?.classList.toggle("hurry", leftMs < 5_000);
    draw(Math.min(1, (calm ? seconds * 1000 : leftMs) / limitMs));
    const milestone = MILESTONES_S.find((at) => seconds === at && at * 1000 < limitMs);
    if (milestone && milestone < spoken) {
      spoken = milestone;
      announce(`${milestone} seconds left`);
    }
    if (leftMs > 0) frame = requestAnimationFrame(step);
  };
  step();
  return () => cancelAnimationFrame(frame);
}
