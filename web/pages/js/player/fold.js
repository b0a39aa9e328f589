// A player's game as a fold over what the edge says. Pure: the time comes in as an argument.

/** Names of the lobby that are shown. */
export const NAMES_MAX = 24;

/**
 * @typedef {import("../shared/wire.js").Message} Message
 * @typedef {{game: string, player: string, nickname: string, title: string, questions: number}} Me
 * @typedef {object} State
 * @property {Me | null} me
 * @property {number} players
 * @property {import("../shared/wire.js").LobbyName[]} names the newest, newest first
 * @property {import("../shared/wire.js").Question | null} question
 * @property {number} endsAt when its time is up, monotonic ms
 * @property {boolean} accepting
 * @property {import("../shared/wire.js").Board | null} board
 * @property {import("../shared/wire.js").Outcome | null} outcome the newest
 * @property {import("../shared/wire.js").Over | null} over
 * @property {boolean} stale a snapshot follows, and what is shown stays until its first message
 */

/** @returns {State} nobody is in any game */
export function empty() {
  return {
    me: null,
    players: 0,
    names: [],
    question: null,
    endsAt: 0,
    accepting: false,
    board: null,
    outcome: null,
    over: null,
    stale: false,
  };
}

/**
 * @param {State} state
 * @param {Message} message
 * @param {number} nowMs monotonic
 * @returns {State}
 */
export function fold(state, message, nowMs) {
  switch (message.type) {
    case "joined":
      return joined(state, message);
    case "lobby": {
      // A player's snapshot begins with the lobby only where nothing has been asked.
      const before = rebased(state);
      return { ...before, players: message.players, names: newest(before.names, message.joined) };
    }
    case "question":
      return question(rebased(state), message, nowMs);
    case "closed":
      return message.question === state.question?.question ? { ...state, accepting: false } : state;
    case "board":
      return { ...rebased(state, message.question), board: message, players: message.players, accepting: false };
    case "outcome":
      return { ...state, outcome: message };
    case "over":
      return { ...state, over: message, players: message.players, accepting: false };
    default:
      return state;
  }
}

function joined(state, message) {
  const { game, player, nickname, title, questions, players } = message;
  const me = { game, player, nickname, title, questions };
  // A fresh socket to the same game: what is shown stays until what follows says otherwise.
  const before = state.me?.game === game && state.me?.player === player ? state : empty();
  return { ...before, me, players, stale: !message.recovered };
}

/**
 * What a snapshot's first message builds on. The words of question `asked` are kept, since a board
 * does not carry them.
 */
function rebased(state, asked = -1) {
  if (!state.stale) return state;
  const { me, players, names } = state;
  const question = state.question?.question === asked ? state.question : null;
  return { ...empty(), me, players, names, question };
}

function newest(names, joined) {
  const fresh = [...joined].reverse().filter((name, at, all) => at === all.findIndex((n) => n.player === name.player));
  const rest = names.filter((name) => !fresh.some((other) => other.player === name.player));
  return [...fresh, ...rest].slice(0, NAMES_MAX);
}

function question(state, message, nowMs) {
  const { type: _, ...asked } = message;
  return {
    ...state,
    question: asked,
    endsAt: nowMs + asked.left_ms,
    accepting: asked.left_ms > 0,
    board: null,
  };
}

/**
 * Which screen the state calls for.
 * @param {State} state
 * @returns {"join" | "lobby" | "question" | "closed" | "board" | "over"}
 */
export function screenOf(state) {
  if (!state.me) return "join";
  if (state.over) return "over";
  if (state.board) return "board";
  if (!state.question) return "lobby";
  return state.accepting ? "question" : "closed";
}

/**
 * The player's own outcome of the question on the board, when it is here.
 * @param {State} state
 */
export function ownOutcome(state) {
  return state.outcome && state.outcome.question === state.board?.question ? state.outcome : null;
}
