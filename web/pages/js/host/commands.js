// What the host asks for, kept until it is done: every command may be sent twice without harm,
// since it names the question or the player that it is about.

/** How long a command may go without an answer before it is sent again, ms. */
const REPLY_WAIT_MS = 5_000;

export class Commands {
  /** @type {Map<string, {action: object, timer: number}>} */
  #pending = new Map();
  #count = 0;

  /**
   * @param {(message: object) => boolean} send
   * @param {() => void} onChange
   */
  constructor(send, onChange) {
    this.sendFrame = send;
    this.onChange = onChange;
  }

  /** Whether one of this kind is under way. @param {string} deed */
  isPending(deed) {
    return [...this.#pending.values()].some(({ action }) => action.do === deed);
  }

  /** @param {{do: string, [field: string]: any}} action */
  ask(action) {
    const key = JSON.stringify(action);
    if ([...this.#pending.values()].some((other) => JSON.stringify(other.action) === key)) return;
    this.#count += 1;
    const id = `h${this.#count}`;
    this.#pending.set(id, { action, timer: 0 });
    this.#send(id);
    this.onChange();
  }

  /** We are the host again on a fresh socket. */
  resend() {
    for (const id of this.#pending.keys()) this.#send(id);
  }

  /** @param {string} id */
  done(id) {
    clearTimeout(this.#pending.get(id)?.timer);
    if (this.#pending.delete(id)) this.onChange();
  }

  /**
   * @param {import("../shared/wire.js").Message} error
   * @returns {boolean} whether it is tried again
   */
  failed(error) {
    if (error.code !== "unavailable" && error.code !== "rate_limited") {
      this.done(error.id);
      return false;
    }
    this.#sendIn(error.id, (error.retry_after_ms ?? 500) * (1 + Math.random() / 2));
    return true;
  }

  clear() {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  #send(id) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (this.sendFrame({ type: "command", id, ...pending.action })) this.#sendIn(id, REPLY_WAIT_MS);
  }

  #sendIn(id, ms) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    clearTimeout(pending.timer);
    pending.timer = setTimeout(() => this.#send(id), ms);
  }
}
