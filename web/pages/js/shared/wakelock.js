// Keeps the screen on while a game is under way, where the browser allows it.

let wanted = false;
/** @type {WakeLockSentinel | null} */
let lock = null;

async function ask() {
  if (!wanted || lock || document.hidden || !("wakeLock" in navigator)) return;
  try {
    lock = await navigator.wakeLock.request("screen");
    lock.addEventListener("release", () => {
      lock = null;
    });
  } catch {
    // A low battery or a page without TLS: the screen then goes dark as usual.
    lock = null;
  }
}

/** @param {boolean} on */
export function keepAwake(on) {
  wanted = on;
  if (on) ask();
  else lock?.release();
}

document.addEventListener("visibilitychange", ask);
