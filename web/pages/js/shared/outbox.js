// The one answer that is on its way: kept until it is acknowledged, over reloads and new sockets.

import { newId } from "./wire.js";

/** How long to wait for an `ack` before the same submission is sent again, ms. */
export const ACK_WAIT_MS = 6_000;
/** When to try again if the edge does not say, ms. */
const RETRY_MS = 500;
/** When to try again with an edge that does not know the question yet, ms. */
const UNKNOWN_RETRY_MS = 1_000;

/**
 * @typedef {"sending" | "retrying" | "received" | "closed" | "refused"} AnswerStatus
 * @typedef {{game: string, question: number, submission: string,
 *   response: import("./wire.js").Response, status: AnswerStatus, proof?: string, receipt?: string,
 *   elapsed_ms?: number, code?: string, sent?: boolean, late?: boolean}} Kept
 * `proof` is an edge's statement of when it took the answer: with it, another edge times the answer
 * from then. `late`: the question takes no more answers, and we still ask whether this one is in.
 */

export class Outbox {
  /** @type {Kept | null} */
  #kept;
  #timer = 0;

  /**
   * @param {object} options
   * @param {Pick<Storage, "getItem" | "setItem" | "removeItem">} options.storage
   * @param {string} options.key where in it
   * @param {(message: object) => boolean} options.send
   * @param {() => void} options.onChange
   * @param {() => number} [options.random]
   */
  constructor({ storage, key, send, onChange, random = Math.random }) {
    this.storage = storage;
    this.key = key;
    this.sendFrame = send;
    this.onChange = onChange;
    this.random = random;
    this.#kept = parse(storage.getItem(key));
  }

  /**
   * The answer to this question, if one was given.
   * @param {string} game
   * @param {number} question
   * @returns {Kept | null}
   */
  of(game, question) {
    const kept = this.#kept;
    return kept && kept.game === game && kept.question === question ? kept : null;
  }

  /**
   * Answers a question. There is one answer a question: another one is not taken, unless the
   * first was refused for what it says.
   * @param {string} game
   * @param {number} question
   * @param {import("./wire.js").Response} response
   */
  answer(game, question, response) {
    const before = this.of(game, question);
    if (before && before.status !== "refused") return;
    this.#keep({ game, question, submission: newId(), response, status: "sending" });
    this.#send();
  }

  /** We are back in the game on a fresh socket: send what has no last word yet, to whatever question. */
  resend(game) {
    const kept = this.#kept;
    if (kept && kept.game === game && isOpen(kept)) this.#send();
  }

  /**
   * The question takes no more answers. What left and has no receipt may be in the log all the
   * same: it is asked after until an edge says so. What has not left never will.
   */
  closed(question) {
    const kept = this.#kept;
    if (!kept || kept.question > question || !isOpen(kept) || kept.late) return;
    if (kept.sent) this.#keep({ ...kept, late: true });
    else this.#settle({ ...kept, status: "closed" });
  }

  /** @param {import("./wire.js").Message} message a `taken` */
  taken(message) {
    const kept = this.#kept;
    if (kept && kept.submission === message.submission) this.#keep({ ...kept, proof: message.proof });
  }

  /** @param {import("./wire.js").Message} message an `ack` */
  acked(message) {
    const kept = this.#kept;
    if (!kept || kept.submission !== message.submission) return;
    this.#settle({ ...kept, status: "received", receipt: message.receipt, elapsed_ms: message.elapsed_ms });
  }

  /** @param {import("./wire.js").Message} message an `error` that names a submission */
  failed(message) {
    const kept = this.#kept;
    if (!kept || kept.submission !== message.submission || !isOpen(kept)) return;
    const { code } = message;
    if (code === "unavailable" || code === "rate_limited") {
      this.#keep({ ...kept, status: "retrying", code, proof: message.proof ?? kept.proof });
      this.#sendIn((message.retry_after_ms ?? RETRY_MS) * (1 + this.random() / 2));
    } else if (code === "question_closed" || code === "game_over") {
      this.#settle({ ...kept, status: "closed", code });
    } else if (code === "not_joined" || code === "question_unknown") {
      // The seat or the question is not there yet: `resend` follows when we have the seat.
      this.#keep({ ...kept, status: "retrying", code });
      this.#sendIn(UNKNOWN_RETRY_MS);
    } else {
      this.#settle({ ...kept, status: "refused", code });
    }
  }

  /** Forgets everything. */
  clear() {
    clearTimeout(this.#timer);
    this.#kept = null;
    this.storage.removeItem(this.key);
  }

  #send() {
    const kept = this.#kept;
    if (!kept || !isOpen(kept)) return;
    const { question, submission, response, proof } = kept;
    const sent = this.sendFrame({ type: "answer", question, submission, ...response, ...(proof && { proof }) });
    if (!sent) return this.#keep({ ...kept, status: "retrying" });
    if (!kept.sent) this.#keep({ ...kept, sent: true });
    this.#sendIn(ACK_WAIT_MS);
  }

  #sendIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), ms);
  }

  /** @param {Kept} kept */
  #settle(kept) {
    clearTimeout(this.#timer);
    this.#keep(kept);
  }

  /** @param {Kept} kept */
  #keep(kept) {
    this.#kept = kept;
    this.storage.setItem(this.key, JSON.stringify(kept));
    this.onChange();
  }
}

/** Whether the answer has neither a receipt nor a refusal. @param {Kept} kept */
export function isOpen(kept) {
  return kept.status === "sending" || kept.status === "retrying";
}

/** @param {string | null} text @returns {Kept | null} */
function parse(text) {
  try {
    const kept = JSON.parse(text ?? "null");
    return kept && typeof kept.submission === "string" ? kept : null;
  } catch {
    return null;
  }
}
