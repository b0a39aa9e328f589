// The host's page: creates a game and leads it.

import { announce } from "./shared/announce.js";
import { now } from "./shared/clock.js";
import { connectionBar } from "./shared/connection.js";
import { byId, say } from "./shared/dom.js";
import { Feed } from "./shared/feed.js";
import { Link } from "./shared/link.js";
import { Stage } from "./shared/stage.js";
import { load, save, session } from "./shared/storage.js";
import { keepAwake } from "./shared/wakelock.js";
import { socketUrl } from "./shared/wire.js";
import { closeText, count, errorText } from "./shared/words.js";
import { boardScreen } from "./host/board.js";
import { Commands } from "./host/commands.js";
import { confirmed } from "./host/dialog.js";
import { empty, fold, nextQuestion, screenOf } from "./host/fold.js";
import { lobbyScreen } from "./host/lobby.js";
import { overScreen } from "./host/over.js";
import { questionScreen } from "./host/question.js";
import { setupScreen } from "./host/setup.js";
import { topbar } from "./host/topbar.js";

const HOSTED = "quizstream.hosted";
const PLACE = "quizstream.hosted.place";
/** How long a notice stays, ms. */
const NOTICE_MS = 6_000;

const feed = new Feed({ storage: session, key: PLACE });
/** @type {import("./host/setup.js").Created | null} */
let hosted = load(session, HOSTED);
let state = (hosted && feed.restored(now(), Date.now())) || empty();
/** Whether the present socket has us as the host. */
let isSeated = false;
let retryTimer = 0;
let noticeTimer = 0;

const stage = new Stage(byId("main"));
const bar = topbar(byId("topbar"), askEnd);
const connection = connectionBar(byId("connection"), () => link.wake(), null);
const commands = new Commands((message) => (isSeated ? link.send(message) : false), () => render());
const link = new Link({
  url: socketUrl(location),
  hello,
  onMessage,
  onState,
});

function hello() {
  if (!hosted) return null;
  const cursor = state.game && feed.cursor;
  return { type: "host", token: hosted.host_token, ...(cursor && { cursor }) };
}

function onState(linkState, code) {
  isSeated = false;
  // The host is connected when its seat is given back, not when a socket opens.
  connection.show(linkState === "open" ? "connecting" : linkState, hosted !== null);
  if (linkState !== "stopped" || code === 1000) return;
  forget();
  notice(code === 3500 ? "This quiz can no longer be hosted from here." : closeText(code));
}

function onMessage(message) {
  if (message.type === "error") return onError(message);
  if (message.type === "done") return commands.done(message.id);
  if (message.type === "hosting") feed.greeted(message, now());
  if (!feed.takes(message, now())) return;
  state = fold(state, message, now());
  feed.keep(message, state, now(), Date.now());
  if (message.type === "hosting") onHosting();
  if (message.type === "over") keepAwake(false);
  render();
  speak(message);
}

function onHosting() {
  isSeated = true;
  link.settled();
  connection.show("open", true);
  keepAwake(true);
  commands.resend();
}

function onError(message) {
  const isRetried = message.id ? commands.failed(message) : retryHello(message);
  if (!isRetried) notice(errorText(message));
}

/** The game is not there yet, or the store is busy: ask again on the same socket. */
function retryHello(message) {
  if (message.code !== "unavailable" || isSeated) return false;
  clearTimeout(retryTimer);
  retryTimer = setTimeout(() => {
    const again = hello();
    if (again && !isSeated) link.send(again);
  }, (message.retry_after_ms ?? 1_000) * (1 + Math.random() / 2));
  return true;
}

/** @param {import("./host/setup.js").Created} created */
function onCreated(created) {
  hosted = created;
  save(session, HOSTED, hosted);
  state = empty();
  link.start();
  render();
}

async function askEnd() {
  const words = { title: "End the quiz?", text: "Everybody goes to the podium, and no more questions can be asked.", yes: "End it" };
  if (await confirmed(words)) commands.ask({ do: "end" });
}

async function askKick(name) {
  const words = { title: `Remove ${name.nickname}?`, text: "They cannot come back into this quiz.", yes: "Remove" };
  if (await confirmed(words)) commands.ask({ do: "kick", player: name.player });
}

/** Back to the first screen. */
function forget() {
  link.stop();
  clearTimeout(retryTimer);
  keepAwake(false);
  commands.clear();
  session.removeItem(HOSTED);
  feed.clear();
  hosted = null;
  state = empty();
  render();
}

function notice(text) {
  const region = byId("notice");
  say(region, text);
  region.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => {
    region.hidden = true;
    say(region, "");
  }, NOTICE_MS);
}

function speak(message) {
  if (message.type === "question") announce(`Question ${message.question + 1} of ${message.of}: ${message.prompt}`);
  if (message.type === "closed") announce("The question is closed.");
  if (message.type === "board") announce(`The board. ${count(message.correct_count, "player")} right.`);
  if (message.type === "over") announce("The podium.");
}

function makeScreen(name) {
  switch (name) {
    case "setup":
      return setupScreen(onCreated);
    case "lobby":
      return lobbyScreen({ state, joinUrl: hosted.join_url, onStart: openNext, onKick: askKick });
    case "question":
      return questionScreen(state, () => commands.ask({ do: "close", question: state.question.question }));
    case "board":
      return boardScreen(state, { onNext: openNext, onEnd: () => commands.ask({ do: "end" }) });
    default:
      return overScreen(state, forget);
  }
}

function openNext() {
  commands.ask({ do: "open", question: nextQuestion(state) });
}

function render() {
  const name = screenOf(state);
  const isComing = name === "setup" && hosted !== null;
  const number = state.board?.question ?? state.question?.question;
  bar.update(state);
  stage.show(isComing ? "back" : name, `${name}:${name === "lobby" ? "" : number}`, () =>
    isComing ? { element: document.createElement("section"), update() {} } : makeScreen(name));
  stage.update(state, commands);
}

addEventListener("keydown", (event) => {
  // A presenter's remote sends Page Down: it moves on, as it does in slides.
  if (event.key !== "PageDown" || document.querySelector("dialog[open]")) return;
  const button = document.querySelector("#main .controls .button.big:not([disabled])");
  if (button instanceof HTMLElement) {
    event.preventDefault();
    button.click();
  }
});

render();
if (hosted) link.start();
