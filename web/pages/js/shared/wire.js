// The socket protocol `quiz.v1.json` as the pages see it.

/**
 * @typedef {{question: number, of: number, kind: string, prompt: string, options: string[],
 *   points_max: number, limit_ms: number, left_ms: number}} Question
 * @typedef {{rank: number, nickname: string, total: number, points: number}} BoardLine
 * @typedef {{picks?: number[], accepted?: string[], value?: number, tolerance?: number}} Correct
 * @typedef {{question: number, correct: Correct, explanation?: string, distribution: number[],
 *   answered: number, correct_count: number, players: number, top: BoardLine[], last: boolean}} Board
 * @typedef {{question: number, verdict: string, points: number, total: number, rank: number,
 *   gap: number, streak: number, players: number}} Outcome
 * @typedef {{reason: string, players: number, top: BoardLine[]}} Over
 * @typedef {{player: string, nickname: string}} LobbyName
 * @typedef {{picks: number[]} | {text: string} | {number: number}} Response
 * @typedef {{type: string, [field: string]: any}} Message
 */

/** The WebSocket subprotocol to ask for. */
export const SUBPROTOCOL = "quiz.v1.json";

/** The longest text answer, characters. */
export const TEXT_CHARS_MAX = 200;

/** The longest nickname, characters. */
export const NICKNAME_CHARS_MAX = 24;

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_CHARS = 13;

/**
 * A new id, of a submission or a join: 63 random bits as 13 characters of Crockford base32, so the first
 * character stands for three bits and is 0 to 7.
 * @param {(bytes: Uint8Array) => Uint8Array} [fill] where random bytes come from
 * @returns {string}
 */
export function newId(fill = (bytes) => crypto.getRandomValues(bytes)) {
  const bytes = fill(new Uint8Array(ID_CHARS));
  return Array.from(bytes, (byte, at) => CROCKFORD[at === 0 ? byte & 7 : byte & 31]).join("");
}

/**
 * Whether a client that was closed with `code` comes back: 30xx yes, 35xx no, 4xxx split the
 * same way, and never after a normal end or a frame that would be refused again.
 * @param {number} code
 * @returns {boolean}
 */
export function reconnects(code) {
  if ([1000, 1002, 1003, 1007, 1009].includes(code)) return false;
  return code < 3500 || (code >= 4000 && code < 4500);
}

/**
 * Where the socket is, for a page at `location`.
 * @param {{protocol: string, host: string}} location
 * @returns {string}
 */
export function socketUrl(location) {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/v1/ws`;
}

/** The option's letter. @param {number} index @returns {string} */
export function letter(index) {
  return String.fromCharCode(65 + index);
}
