// The player's page: one socket, one fold, one screen at a time.

import { announce } from "./shared/announce.js";
import { now } from "./shared/clock.js";
import { byId } from "./shared/dom.js";
import { Feed } from "./shared/feed.js";
import { Link } from "./shared/link.js";
import { Outbox } from "./shared/outbox.js";
import { connectionBar } from "./shared/connection.js";
import { Stage } from "./shared/stage.js";
import { load, local, save, session } from "./shared/storage.js";
import { keepAwake } from "./shared/wakelock.js";
import { newId, socketUrl } from "./shared/wire.js";
import { closeText, errorText } from "./shared/words.js";
import { boardScreen, spokenOutcome } from "./player/board.js";
import { empty, fold, ownOutcome, screenOf } from "./player/fold.js";
import { joinScreen, pinFrom } from "./player/join.js";
import { lobbyScreen } from "./player/lobby.js";
import { overScreen } from "./player/over.js";
import { closedScreen, questionScreen } from "./player/question.js";
import { topbar } from "./player/topbar.js";

const SEAT = "quizstream.seat";
const ANSWER = "quizstream.answer";
const PLACE = "quizstream.place";
/** How long a seat is offered again in this browser: as long as an untouched game lives, ms. */
const SEAT_LIFE_MS = 4 * 3_600_000;

/** @typedef {{pin: string, token: string, nickname: string, title: string, at: number}} Seat */

const feed = new Feed({ storage: session, key: PLACE });
/** @type {Seat | null} the seat that we have, or want back */
let seat = seatOfThisTab();
let state = (seat && feed.restored(now(), Date.now())) || empty();
/** @type {{pin: string, nickname: string, key: string} | null} what we ask for while we have none */
let wanted = null;
/** Whether the present socket has given us the seat. */
let isSeated = false;
let resendTimer = 0;

const stage = new Stage(byId("main"));
const bar = topbar(byId("topbar"));
const connection = connectionBar(byId("connection"), () => link.wake(), leave);
const outbox = new Outbox({
  storage: session,
  key: ANSWER,
  send,
  onChange: () => render(),
});
const link = new Link({ url: socketUrl(location), hello, onMessage, onState });

/** Nobody who follows a link to another game is put back into the old one. */
function seatOfThisTab() {
  const kept = load(session, SEAT);
  const asked = pinFrom(location);
  return kept && (!asked || asked === kept.pin) ? kept : null;
}

function hello() {
  if (seat) return { type: "resume", token: seat.token, ...(cursor() && { cursor: cursor() }) };
  return wanted ? { type: "join", ...wanted } : null;
}

/** An answer: the edge says soon that it has it. @param {object} message */
function send(message) {
  const isSent = isSeated && link.send(message);
  if (isSent) link.expectReply();
  return isSent;
}

/** Where we stand; null where something is lacking that only a snapshot brings. */
function cursor() {
  return state.me && (!state.board || ownOutcome(state)) ? feed.cursor : null;
}

function onState(linkState, code) {
  isSeated = false;
  // Who has a seat is connected when it is given back, not when a socket opens.
  connection.show(linkState === "open" && seat ? "connecting" : linkState, seat !== null);
  if (linkState !== "stopped" || code === 1000) return;
  const text = closeText(code);
  leave();
  joinForm()?.refuse("", text);
}

function onMessage(message) {
  if (message.type === "error") return onError(message);
  if (message.type === "ack") return outbox.acked(message);
  if (message.type === "taken") return outbox.taken(message);
  if (message.type === "joined") feed.greeted(message, now());
  if (!feed.takes(message, now())) return;
  state = fold(state, message, now());
  feed.keep(message, state, now(), Date.now());
  if (message.type === "joined") onJoined(message);
  if (message.type === "closed" || message.type === "board") outbox.closed(message.question);
  if (message.type === "kicked") onKicked();
  if (message.type === "over") keepAwake(false);
  render();
  speak(message);
}

function onJoined(message) {
  isSeated = true;
  link.settled();
  connection.show("open", true);
  const pin = wanted?.pin ?? seat?.pin ?? "";
  seat = { pin, token: message.token, nickname: message.nickname, title: message.title, at: Date.now() };
  wanted = null;
  save(session, SEAT, seat);
  save(local, SEAT, seat);
  keepAwake(true);
  outbox.resend(message.game);
}

function onKicked() {
  leave();
  joinForm()?.refuse("banned", errorText({ code: "banned" }));
}

function onError(message) {
  if (message.submission) return outbox.failed(message);
  if (message.code === "unavailable" || (message.code === "rate_limited" && !isSeated)) {
    // The game or the log is not there yet: ask for the same again on the same socket.
    joinForm()?.refuse(message.code, errorText(message));
    clearTimeout(resendTimer);
    resendTimer = setTimeout(() => {
      const again = hello();
      if (again && !isSeated) link.send(again);
    }, (message.retry_after_ms ?? 1_000) * (1 + Math.random() / 2));
    return;
  }
  if (message.code === "token_invalid" || message.code === "banned") return;
  wanted = null;
  joinForm()?.busy(false);
  joinForm()?.refuse(message.code, errorText(message));
}

/** The player wants in. @param {string} pin @param {string} nickname */
function join(pin, nickname) {
  clearTimeout(resendTimer);
  // The same key as long as the same is asked for: if we have the seat already, it is given again.
  if (wanted?.pin !== pin || wanted.nickname !== nickname) wanted = { pin, nickname, key: newId() };
  joinForm()?.busy(true);
  if (link.isOpen) link.send({ type: "join", ...wanted });
  else link.start();
}

/** Goes on with the seat that this browser had before. */
function goOn() {
  seat = load(local, SEAT);
  if (!seat) return;
  save(session, SEAT, seat);
  link.start();
  render();
}

/** Gives the seat up and goes back to the first screen. */
function leave() {
  link.stop();
  clearTimeout(resendTimer);
  keepAwake(false);
  session.removeItem(SEAT);
  local.removeItem(SEAT);
  feed.clear();
  seat = null;
  wanted = null;
  state = empty();
  outbox.clear();
  render();
}

/** @returns {ReturnType<typeof joinScreen> | null} */
function joinForm() {
  return stage.name === "join" ? stage.screen : null;
}

function speak(message) {
  if (message.type === "question" && state.accepting) announce(`Question ${message.question + 1} of ${message.of}.`);
  const outcome = ownOutcome(state);
  if (outcome && (message.type === "board" || message.type === "outcome")) announce(spokenOutcome(outcome));
  if (message.type === "over") announce("The quiz is over.");
}

function makeScreen(name) {
  switch (name) {
    case "join":
      return joinScreen({ pin: pinFrom(location), onJoin: join, earlier: earlierSeat(), onGoOn: goOn });
    case "lobby":
      return lobbyScreen(state);
    case "question":
      return questionScreen(state, (response) => outbox.answer(state.me.game, state.question.question, response));
    case "closed":
      return closedScreen(state);
    case "board":
      return boardScreen(state);
    default:
      return overScreen(state, leave);
  }
}

function earlierSeat() {
  const earlier = load(local, SEAT);
  const isFresh = earlier && typeof earlier.token === "string" && Date.now() - earlier.at < SEAT_LIFE_MS;
  return isFresh && !seat ? earlier : null;
}

function render() {
  const name = screenOf(state);
  // A seat that we ask back shows nothing of the form: it would only flash.
  const isComingBack = name === "join" && seat !== null;
  const kept = state.me && state.question ? outbox.of(state.me.game, state.question.question) : null;
  bar.update(state);
  const number = name === "board" ? state.board.question : state.question?.question;
  stage.show(isComingBack ? "back" : name, `${name}:${name === "lobby" ? "" : number}`, () =>
    isComingBack ? { element: document.createElement("section"), update() {} } : makeScreen(name));
  stage.update(state, kept);
}

addEventListener("hashchange", () => render());
render();
if (seat) link.start();
