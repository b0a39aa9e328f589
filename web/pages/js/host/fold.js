// The host's game as a fold over what the edge says. Pure: the time comes in as an argument.

/** Names that the lobby shows. */
export const NAMES_MAX = 200;

/**
 * @typedef {object} State
 * @property {{game: string, pin: string, title: string, questions: number} | null} game
 * @property {number} players
 * @property {number} connected
 * @property {import("../shared/wire.js").LobbyName[]} lobby newest first
 * @property {import("../shared/wire.js").Question | null} question
 * @property {number} endsAt when its time is up, monotonic ms
 * @property {boolean} accepting
 * @property {string} stopped why it takes no more answers
 * @property {number} answered
 * @property {import("../shared/wire.js").Board | null} board
 * @property {import("../shared/wire.js").Over | null} over
 * @property {boolean} stale a snapshot follows, and what is shown stays until it says otherwise
 */

/** @returns {State} */
export function empty() {
  return {
    game: null, players: 0, connected: 0, lobby: [], question: null, endsAt: 0, accepting: false,
    stopped: "", answered: 0, board: null, over: null, stale: false,
  };
}

/**
 * @param {State} state
 * @param {import("../shared/wire.js").Message} message
 * @param {number} nowMs monotonic
 * @returns {State}
 */
export function fold(state, message, nowMs) {
  switch (message.type) {
    case "hosting":
      return hosting(state, message);
    case "lobby":
      return lobby(state, message);
    case "question":
      return question(rebased(state, message.question), message, nowMs);
    case "counted":
      if (message.question !== state.question?.question) return state;
      return { ...state, answered: message.answered, players: message.players };
    case "closed":
      if (message.question !== state.question?.question) return state;
      return { ...state, accepting: false, stopped: message.reason };
    case "board":
      return { ...rebased(state, message.question), board: message, accepting: false };
    case "over":
      return { ...state, over: message, accepting: false };
    default:
      return state;
  }
}

function hosting(state, message) {
  const { game, pin, title, questions, players } = message;
  const before = state.game?.game === game ? state : empty();
  const names = [...message.lobby].reverse();
  return { ...before, game: { game, pin, title, questions }, players, lobby: names, stale: !message.recovered };
}

/**
 * What a snapshot's question or board builds on. Of the same question, its words and what was
 * counted stay.
 */
function rebased(state, asked) {
  if (!state.stale) return state;
  const { game, players, connected, lobby } = state;
  const isSame = state.question?.question === asked && (state.board === null || state.board.question === asked);
  const { question, answered } = isSame ? state : empty();
  return { ...empty(), game, players, connected, lobby, question, answered };
}

function lobby(state, { players, connected, joined, left }) {
  const gone = new Set([...left, ...joined.map((name) => name.player)]);
  const rest = state.lobby.filter((name) => !gone.has(name.player));
  const fresh = joined.filter((name) => !left.includes(name.player)).reverse();
  return { ...state, players, connected, lobby: [...fresh, ...rest].slice(0, NAMES_MAX) };
}

function question(state, message, nowMs) {
  const { type: _, ...asked } = message;
  const isSame = state.question?.question === asked.question && state.board === null;
  return {
    ...state,
    question: asked,
    endsAt: nowMs + asked.left_ms,
    accepting: asked.left_ms > 0,
    stopped: "",
    answered: isSame ? state.answered : 0,
    board: null,
  };
}

/** @param {State} state @returns {"setup" | "lobby" | "question" | "board" | "over"} */
export function screenOf(state) {
  if (!state.game) return "setup";
  if (state.over) return "over";
  if (state.board) return "board";
  return state.question ? "question" : "lobby";
}

/** The question that comes next, from 0. @param {State} state */
export function nextQuestion(state) {
  return state.board ? state.board.question + 1 : 0;
}
