// One socket that comes back by itself.

import { SUBPROTOCOL, reconnects } from "./wire.js";

/** The first wait before a new try, ms; doubles with each. */
export const BACKOFF_MS_MIN = 400;
/** The longest wait before a new try, ms. */
export const BACKOFF_MS_MAX = 15_000;
/** How long a socket may take to open, ms. */
const OPEN_WAIT_MS = 8_000;
/** Between two looks whether the other side still answers, ms. */
const PROBE_INTERVAL_MS = 20_000;
/** How long it may take to answer, ms. */
const PROBE_WAIT_MS = 5_000;

/**
 * How long to wait before try number `tries` (from 0): doubled each time, and anything from half
 * of that to all of it, so that a room which lost its edge does not come back in one instant.
 * @param {number} tries
 * @param {number} random 0 to 1
 * @returns {number} ms
 */
export function backoffMs(tries, random) {
  const full = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(tries, 10));
  return Math.round(full * (0.5 + random / 2));
}

/**
 * @typedef {"connecting" | "open" | "waiting" | "stopped"} LinkState
 */

export class Link {
  /** @type {WebSocket | null} */
  #socket = null;
  #tries = 0;
  #timer = 0;
  #opening = 0;
  #probe = 0;
  #running = false;
  #heardAt = 0;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {() => object | null} options.hello what to say first on a fresh socket
   * @param {(message: import("./wire.js").Message) => void} options.onMessage
   * @param {(state: LinkState, code: number) => void} options.onState
   */
  constructor({ url, hello, onMessage, onState }) {
    this.url = url;
    this.hello = hello;
    this.onMessage = onMessage;
    this.onState = onState;
    setInterval(() => this.#look(PROBE_WAIT_MS), PROBE_INTERVAL_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    addEventListener("pageshow", () => this.wake());
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.#look(1_000));
  }

  /** Whether the socket is open. */
  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Opens the socket and keeps it open. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#tries = 0;
    this.#open();
  }

  /** Closes the socket for good. */
  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#drop();
    this.onState("stopped", 1000);
  }

  /** The other side has let us in: the next loss starts from a short wait again. */
  settled() {
    this.#tries = 0;
  }

  /**
   * @param {object} message
   * @returns {boolean} whether it was handed to an open socket
   */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket?.send(JSON.stringify(message));
    return true;
  }

  /** The page is looked at again or the network is back: do not wait any longer. */
  wake() {
    if (!this.#running) return;
    if (!this.#socket) {
      clearTimeout(this.#timer);
      this.#open();
    } else {
      this.#look(2_500);
    }
  }

  #open() {
    this.#drop();
    this.onState("connecting", 0);
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    this.#opening = setTimeout(() => this.#lost(socket, 1006), OPEN_WAIT_MS);
    socket.onopen = () => {
      clearTimeout(this.#opening);
      this.#heardAt = Date.now();
      this.onState("open", 0);
      const hello = this.hello();
      if (hello) this.send(hello);
    };
    socket.onmessage = (event) => {
      this.#heardAt = Date.now();
      const message = read(event.data);
      if (message) this.onMessage(message);
    };
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#drop();
    if (!this.#running) return;
    if (!reconnects(code)) {
      this.#running = false;
      this.onState("stopped", code);
      return;
    }
    this.onState("waiting", code);
    this.#timer = setTimeout(() => this.#open(), backoffMs(this.#tries, Math.random()));
    this.#tries += 1;
  }

  #drop() {
    clearTimeout(this.#opening);
    clearTimeout(this.#probe);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** A socket can be dead without knowing, above all after sleep: ask, and give up on silence. */
  #look(waitMs) {
    const socket = this.#socket;
    if (!socket || !this.send({ type: "ping" })) return;
    const askedAt = Date.now();
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => {
      if (this.#heardAt < askedAt) this.#lost(socket, 1006);
    }, waitMs);
  }
}

/** @param {unknown} data @returns {import("./wire.js").Message | null} */
function read(data) {
  try {
    const message = JSON.parse(String(data));
    return message && typeof message.type === "string" ? message : null;
  } catch {
    return null;
  }
}
