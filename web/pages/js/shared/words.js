// What people read for what machines say.

const ERRORS = {
  pin_not_found: "There is no quiz with this PIN. Check the number on the big screen.",
  nickname_invalid: "This name cannot be used. Take 1 to 24 letters, digits or signs.",
  nickname_taken: "Somebody here has this name already. Choose another one.",
  game_full: "This quiz is full: no more players fit in.",
  banned: "The host has removed you from this quiz.",
  game_over: "This quiz is over.",
  token_invalid: "Your seat in that quiz is no longer known here. Please join again.",
  not_host: "Only the host can do this.",
  question_unknown: "This question is not open yet.",
  question_closed: "Too late: the question was closed.",
  response_misfit: "This answer does not fit the question. Try another one.",
  unavailable: "The quiz is very busy. Trying again …",
  rate_limited: "That was too fast. Wait a moment and try again.",
  too_large: "That is too long. Make it shorter.",
  too_many_games: "Too many quizzes are running here. Try again in a while.",
  bad_quiz: "This quiz file has mistakes:",
  bad_json: "This file is not a quiz we can read.",
  not_json: "This file is not a quiz we can read.",
  bad_settings: "These settings cannot be used:",
  no_free_pin: "All PINs are taken right now. Try again in a minute.",
  draining: "This server is just restarting. Try again in a few seconds.",
};

const REJECTIONS = {
  question_open: "A question is open already.",
  no_question_open: "The question is closed already.",
  stale_question: "That question has been asked already.",
  no_more_questions: "All questions have been asked.",
  no_player: "That player has left.",
  game_over: "The quiz is over.",
  bad_quiz: "This quiz cannot be played.",
};

const CLOSES = {
  3500: ERRORS.token_invalid,
  3501: "This page and the server do not understand each other. Reload the page.",
  3503: ERRORS.banned,
};

/** @param {{code: string, reason?: string, message?: string}} error @returns {string} */
export function errorText(error) {
  if (error.code === "command_refused") return REJECTIONS[error.reason ?? ""] ?? "That was not possible just now.";
  return ERRORS[error.code] ?? `Something went wrong (${error.message ?? error.code}).`;
}

/** Why the connection is closed for good. @param {number} code @returns {string} */
export function closeText(code) {
  return CLOSES[code] ?? "The connection was closed.";
}

/** @param {number} n @returns {string} 1st, 2nd, 3rd, 4th … */
export function ordinal(n) {
  const tens = n % 100;
  const suffix = tens > 10 && tens < 14 ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th");
  return `${n}${suffix}`;
}

/** @param {number} n @param {string} one @param {string} [many] @returns {string} */
export function count(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

const grouped = new Intl.NumberFormat("en");

/** @param {number} n @returns {string} with thousands set apart */
export function number(n) {
  return grouped.format(n);
}

/** What to do, by kind of question. */
export const TASKS = {
  single: "Choose one answer",
  true_false: "True or false?",
  multiple: "Choose every right answer",
  text: "Type your answer",
  number: "Type a number",
  order: "Put them in order",
  poll: "Your opinion: choose one",
};

/** What a verdict is called, and how it looks. */
export const VERDICTS = {
  correct: { title: "Right!", look: "good", icon: "check" },
  partial: { title: "Partly right", look: "part", icon: "half" },
  wrong: { title: "Not this time", look: "bad", icon: "cross" },
  unanswered: { title: "No answer", look: "none", icon: "dash" },
  late: { title: "Too late", look: "none", icon: "clock" },
  counted: { title: "Thanks for your vote", look: "poll", icon: "check" },
};
