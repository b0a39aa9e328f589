// Which durable messages a page applies: each once and in order, over any number of sockets; and
// what it kept of them over a reload.

import { load, save } from "./storage.js";

/** A snapshot is taken for whole when something is heard so long after its greeting, ms. */
export const SNAPSHOT_SETTLE_MS = 1_000;

/** What changes what is kept. */
const KEPT_TYPES = ["question", "closed", "board", "outcome", "over"];

/** @typedef {{epoch: string, offset: number}} Cursor */

export class Feed {
  /** @type {Cursor | null} */
  #cursor = null;
  /** Whether all that the cursor covers has been applied: a snapshot comes in several messages. */
  #isWhole = true;
  #greetedAt = 0;

  /**
   * @param {object} options
   * @param {Pick<Storage, "getItem" | "setItem" | "removeItem">} options.storage
   * @param {string} options.key where in it
   */
  constructor({ storage, key }) {
    this.storage = storage;
    this.key = key;
  }

  /** What to send with `resume` and `host`: null asks for a snapshot. */
  get cursor() {
    return this.#isWhole ? this.#cursor : null;
  }

  /**
   * The edge let us in: what was missed follows, or a snapshot.
   * @param {{cursor?: Cursor, recovered?: boolean}} greeting
   * @param {number} nowMs monotonic
   */
  greeted({ cursor, recovered }, nowMs) {
    if (recovered) return;
    this.#cursor = cursor ?? null;
    this.#isWhole = false;
    this.#greetedAt = nowMs;
  }

  /**
   * Whether a message is to be applied: not, when it comes of a record that was applied before.
   * @param {{type: string, at?: number}} message
   * @param {number} nowMs monotonic
   * @returns {boolean}
   */
  takes({ at }, nowMs) {
    // Messages come in order: this one is behind the whole of the snapshot.
    if (at !== undefined || nowMs - this.#greetedAt >= SNAPSHOT_SETTLE_MS) this.#isWhole = true;
    if (at === undefined || this.#cursor === null) return true;
    if (at <= this.#cursor.offset) return false;
    this.#cursor = { ...this.#cursor, offset: at };
    return true;
  }

  /**
   * Keeps the state that a message led to, together with the cursor that it stands at: one without
   * the other would be worth nothing.
   * @param {{type: string}} message
   * @param {{endsAt: number}} state
   * @param {number} nowMs monotonic
   * @param {number} wallMs
   */
  keep({ type }, state, nowMs, wallMs) {
    if (!KEPT_TYPES.includes(type)) return;
    save(this.storage, this.key, { cursor: this.cursor, state: { ...state, endsAt: state.endsAt - nowMs + wallMs } });
  }

  /**
   * The state that was kept, and takes up its cursor.
   * @param {number} nowMs monotonic
   * @param {number} wallMs
   * @returns {any} null when there is none
   */
  restored(nowMs, wallMs) {
    const kept = load(this.storage, this.key);
    if (!kept?.state) return null;
    this.#cursor = kept.cursor;
    this.#isWhole = true;
    return { ...kept.state, endsAt: kept.state.endsAt - wallMs + nowMs };
  }

  /** Forgets everything. */
  clear() {
    this.#cursor = null;
    this.#isWhole = true;
    this.storage.removeItem(this.key);
  }
}
