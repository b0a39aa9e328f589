// One socket that comes back by itself.

import { SUBPROTOCOL, reconnects } from "./wire.js";

/** The most that the first wait before a new try may be, ms; it doubles with each. */
export const BACKOFF_MS_MIN = 400;
/** The most that any wait may be, unless the edge asks for more, ms. */
export const BACKOFF_MS_MAX = 15_000;
/** The longest wait that an edge may ask for, ms. */
export const SPREAD_MS_MAX = 60_000;
/** How long a socket may take to open, ms. */
const OPEN_WAIT_MS = 8_000;
/** Between two looks whether the other side still lives, ms. */
export const LOOK_INTERVAL_MS = 1_000;
/** How long it may be silent after an answer: it says within 2 s that it has it, ms. */
export const REPLY_WAIT_MS = 5_000;
/** After so much silence it is asked, unless it says otherwise itself, ms. */
export const HEARTBEAT_MS = 4_000;
/** For so long and half of a heartbeat after that it may be silent still: 10 s in all, if it says nothing else. */
export const PONG_SLACK_MS = 4_000;

/**
 * How long to wait before try number `tries` (from 0): anything from nothing to the whole of a
 * bound, so that a room which lost its edge does not come back in one instant. The bound doubles;
 * for the first try it is what the edge asked for, if it did.
 * @param {number} tries
 * @param {number} random 0 to 1
 * @param {number | null} [spreadMs] the wait that the close reason names
 * @returns {number} ms
 */
export function backoffMs(tries, random, spreadMs = null) {
  const bound = spreadMs ?? Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(tries, 10));
  return Math.round(Math.min(bound, SPREAD_MS_MAX) * random);
}

/**
 * The wait that a close reason names: the number in it, as in `going_away 1000ms`.
 * @param {string} reason
 * @returns {number | null} ms
 */
export function spreadOf(reason) {
  const digits = /\d{1,9}/.exec(reason)?.[0];
  return digits === undefined ? null : Number(digits);
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
  #running = false;
  #heardAt = 0;
  /** When the other side was asked and how long it may take; 0 when it has been heard since. */
  #askedAt = 0;
  #patienceMs = 0;
  #heartbeatMs = HEARTBEAT_MS;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {() => object | null} options.hello what to say first on a fresh socket
   * @param {(message: import("./wire.js").Message) => void} options.onMessage
   * @param {(state: LinkState, code: number) => void} options.onState
   * @param {() => number} [options.clock] monotonic ms
   * @param {() => number} [options.random]
   */
  constructor({ url, hello, onMessage, onState, clock = () => performance.now(), random = Math.random }) {
    this.url = url;
    this.hello = hello;
    this.onMessage = onMessage;
    this.onState = onState;
    this.clock = clock;
    this.random = random;
    setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    addEventListener("pageshow", () => this.wake());
    addEventListener("online", () => this.wake());
    addEventListener("offline", () => this.#ask(1_000));
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

  /** Something was said that must have a reply soon: silence after it means more than usual. */
  expectReply() {
    if (!this.#askedAt) this.#ask(REPLY_WAIT_MS);
  }

  /** The page is looked at again or the network is back: do not wait any longer. */
  wake() {
    if (!this.#running) return;
    if (!this.#socket) {
      clearTimeout(this.#timer);
      this.#open();
    } else {
      this.#ask(2_500);
    }
  }

  #open() {
    this.#drop();
    this.onState("connecting", 0);
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    this.#opening = setTimeout(() => this.#lost(socket, 1006, ""), OPEN_WAIT_MS);
    socket.onopen = () => {
      clearTimeout(this.#opening);
      this.#heard();
      this.onState("open", 0);
      const hello = this.hello();
      if (hello) this.send(hello);
    };
    socket.onmessage = (event) => {
      this.#heard();
      const message = read(event.data);
      if (!message) return;
      // The more sockets an edge holds, the less often it wants to be asked.
      if (message.heartbeat_ms > 0) this.#heartbeatMs = message.heartbeat_ms;
      this.onMessage(message);
    };
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
  }

  #lost(socket, code, reason) {
    if (socket !== this.#socket) return;
    this.#drop();
    if (!this.#running) return;
    if (!reconnects(code)) {
      this.#running = false;
      this.onState("stopped", code);
      return;
    }
    this.onState("waiting", code);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), backoffMs(this.#tries, this.random(), spreadOf(reason)));
    this.#tries += 1;
  }

  #drop() {
    clearTimeout(this.#opening);
    this.#askedAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #heard() {
    this.#heardAt = this.clock();
    this.#askedAt = 0;
  }

  /** A socket can be dead without knowing, above all after sleep: ask, and give up on silence. */
  #ask(patienceMs) {
    if (!this.send({ type: "ping" })) return;
    this.#askedAt = this.clock();
    this.#patienceMs = patienceMs;
    // A page in the background looks seldom, and one in front soon enough.
    setTimeout(() => this.#look(), patienceMs);
  }

  #look() {
    const socket = this.#socket;
    if (!socket || !this.isOpen) return;
    const nowMs = this.clock();
    if (this.#askedAt) {
      if (nowMs - this.#askedAt >= this.#patienceMs) this.#lost(socket, 1006, "");
    } else if (nowMs - this.#heardAt >= this.#heartbeatMs) {
      this.#ask(PONG_SLACK_MS + this.#heartbeatMs / 2);
    }
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
