// Goal: a page comes back by itself, applies each durable message once and in order, and shows no
// state that is not so. Method: a socket of our own with the clock in our hands; a log that edges
// replay from anywhere, against a cover kept by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { empty as hostEmpty, fold as hostFold, screenOf as hostScreen } from "../../pages/js/host/fold.js";
import { empty, fold, screenOf } from "../../pages/js/player/fold.js";
import { Feed, SNAPSHOT_SETTLE_MS } from "../../pages/js/shared/feed.js";
import { BACKOFF_MS_MAX, BACKOFF_MS_MIN, Link, SPREAD_MS_MAX, backoffMs, spreadOf } from "../../pages/js/shared/link.js";

test("waits have full jitter, grow, stay bounded and honour what the edge asks for", () => {
  for (let tries = 0; tries < 50; tries += 1) {
    const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(tries, 10));
    assert.equal(backoffMs(tries, 0), 0);
    assert.equal(backoffMs(tries, 1), bound);
    assert.equal(backoffMs(tries, 0.5, 2_000), 1_000);
  }
  assert.equal(backoffMs(0, 1, 1e9), SPREAD_MS_MAX);
  const cases = { "going_away 1000ms": 1000, "going_away; retry in 20 ms": 20, "going_away": null, "": null, "no pong for some ms": null };
  for (const [reason, ms] of Object.entries(cases)) assert.equal(spreadOf(reason), ms, reason);
});

/** Numbers that come of a seed alone. */
function dice(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

function memory() {
  const map = new Map();
  return { getItem: (key) => map.get(key) ?? null, setItem: (key, value) => void map.set(key, value), removeItem: (key) => void map.delete(key) };
}

test("each record is applied once and none is missed", () => {
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const roll = dice(seed);
    const log = [];
    for (let at = roll(5); log.length < 30; at += 1 + roll(7)) log.push(at);
    const feed = new Feed({ storage: memory(), key: "k" });
    let nowMs = 0;
    let covered = -1;
    for (let visit = 0; visit < 12; visit += 1) {
      const known = feed.cursor;
      const recovered = known !== null && roll(2) === 0;
      // An edge's snapshot is never older than what its client has applied.
      if (!recovered) covered = Math.max(covered, log[roll(log.length)]);
      feed.greeted({ cursor: recovered ? known : { epoch: "e", offset: covered }, recovered }, nowMs);
      // It sends on from where the client stands, or repeats a little, until the socket goes.
      const behind = log.findIndex((at) => at > covered);
      const from = Math.max(0, (behind < 0 ? log.length : behind) - roll(4));
      for (const at of log.slice(from, from + roll(12))) {
        nowMs += roll(500);
        const next = log.find((each) => each > covered);
        assert.equal(feed.takes({ type: "question", at }, nowMs), at === next, `seed ${seed}: ${at} after ${covered}`);
        if (at === next) covered = at;
      }
    }
  }
});

test("a snapshot of which only a part arrived is asked for again", () => {
  const feed = new Feed({ storage: memory(), key: "k" });
  feed.greeted({ cursor: { epoch: "e", offset: 7 }, recovered: false }, 100);
  assert.equal(feed.cursor, null);
  assert.ok(feed.takes({ type: "board" }, 101));
  assert.equal(feed.cursor, null, "its outcome may still be on the way");
  assert.ok(feed.takes({ type: "pong" }, 100 + SNAPSHOT_SETTLE_MS));
  assert.deepEqual(feed.cursor, { epoch: "e", offset: 7 });
  feed.greeted({ cursor: { epoch: "e", offset: 9 }, recovered: false }, 5_000);
  assert.ok(feed.takes({ type: "question", at: 12 }, 5_001));
  assert.deepEqual(feed.cursor, { epoch: "e", offset: 12 }, "what comes behind it shows that it is whole");
  assert.ok(!feed.takes({ type: "question", at: 12 }, 5_002));
});

test("a state outlives a reload together with its cursor", () => {
  const storage = memory();
  const feed = new Feed({ storage, key: "k" });
  feed.greeted({ cursor: { epoch: "e", offset: 7 }, recovered: false }, 0);
  feed.takes({ type: "question", at: 8 }, 10);
  feed.keep({ type: "question" }, { endsAt: 9_010, question: 1 }, 10, 1_000_000);
  feed.keep({ type: "lobby" }, { endsAt: 0, question: 2 }, 20, 1_000_010);
  const later = new Feed({ storage, key: "k" });
  // Two seconds later, on a page whose own clock has begun anew.
  assert.deepEqual(later.restored(300, 1_002_000), { endsAt: 7_300, question: 1 });
  assert.deepEqual(later.cursor, { epoch: "e", offset: 8 });
  later.clear();
  assert.equal(new Feed({ storage, key: "k" }).restored(0, 0), null);
});

const QUESTION = { type: "question", question: 0, of: 3, kind: "single", prompt: "?", options: ["a", "b"], points_max: 1000, limit_ms: 9000, left_ms: 9000 };
const JOINED = { type: "joined", game: "G", player: "P", nickname: "Ada", token: "t", title: "T", questions: 3, players: 1, recovered: false };
const HOSTING = { type: "hosting", game: "G", pin: "123456", title: "T", questions: 3, players: 2, lobby: [], recovered: false };
const BOARD = { type: "board", question: 0, correct: {}, distribution: [], answered: 0, correct_count: 0, players: 1, top: [], last: false };
const OUTCOME = { type: "outcome", question: 0, verdict: "correct", points: 1, total: 1, rank: 1, gap: 0, streak: 1, players: 1 };
const LOBBY = { type: "lobby", players: 1, connected: 1, joined: [], left: [] };

test("a snapshot replaces the state, and nothing flashes before it", () => {
  const play = (...messages) => messages.reduce((state, message) => fold(state, message, 0), empty());
  const before = [JOINED, LOBBY, QUESTION, OUTCOME, BOARD];
  assert.equal(screenOf(play(...before, JOINED)), "board", "until the snapshot says otherwise");
  const asked = play(...before, JOINED, { ...QUESTION, question: 2 });
  assert.deepEqual([screenOf(asked), asked.outcome, asked.board], ["question", null, null]);
  const board = play(JOINED, QUESTION, JOINED, BOARD);
  assert.equal(board.question?.prompt, "?", "a board does not carry the words");
  assert.equal(play(JOINED, QUESTION, JOINED, { ...BOARD, question: 1 }).question, null);
  assert.equal(screenOf(play(...before, { ...JOINED, recovered: true })), "board");
  assert.equal(play(...before, { ...JOINED, recovered: true }).outcome?.points, 1, "what is recovered stays");
  assert.equal(screenOf(play(...before, JOINED, LOBBY)), "lobby");
});

test("the host's snapshot replaces its state too", () => {
  const play = (...messages) => messages.reduce((state, message) => hostFold(state, message, 0), hostEmpty());
  const counted = { type: "counted", question: 0, answered: 5, players: 9 };
  const closed = { type: "closed", question: 0, reason: "host" };
  const same = play(HOSTING, LOBBY, QUESTION, counted, HOSTING, LOBBY, QUESTION);
  assert.deepEqual([same.answered, same.accepting], [5, true]);
  const next = play(HOSTING, LOBBY, QUESTION, counted, closed, HOSTING, LOBBY, { ...QUESTION, question: 1 });
  assert.deepEqual([next.answered, next.accepting, next.stopped], [0, true, ""]);
  const board = play(HOSTING, LOBBY, QUESTION, counted, HOSTING, LOBBY, BOARD);
  assert.deepEqual([hostScreen(board), board.question?.prompt], ["board", "?"]);
});

/** A link to sockets that do what the test says. */
function wire(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const sockets = [];
  class FakeSocket {
    static OPEN = 1;
    readyState = 0;
    sent = [];
    constructor() {
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.readyState = 3;
    }
    open() {
      this.readyState = 1;
      this.onopen();
    }
    say(message) {
      this.onmessage?.({ data: JSON.stringify(message) });
    }
    end(code, reason = "") {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
  }
  const listeners = {};
  const addEventListener = (name, listener) => (listeners[name] = listener);
  Object.assign(globalThis, { WebSocket: FakeSocket, document: { addEventListener, hidden: false }, addEventListener });
  let nowMs = 0;
  const states = [];
  const link = new Link({
    url: "ws://x", hello: () => ({ type: "resume", token: "t" }), onMessage() {},
    onState: (state, code) => states.push([state, code]), clock: () => nowMs, random: () => 0.5,
  });
  const tick = (ms) => {
    for (let left = ms; left > 0; left -= Math.min(left, 100)) {
      nowMs += Math.min(left, 100);
      t.mock.timers.tick(Math.min(left, 100));
    }
  };
  return { link, sockets, states, tick, fire: (name) => listeners[name]() };
}

const pings = (socket) => socket.sent.filter(({ type }) => type === "ping").length;

test("an edge that is silent for 10 s is left, one that answers is not", (t) => {
  const { link, sockets, tick } = wire(t);
  link.start();
  sockets[0].open();
  tick(4_500);
  assert.equal(pings(sockets[0]), 1);
  sockets[0].say({ type: "pong" });
  tick(9_000);
  assert.equal(sockets.length, 1, "one ping later");
  assert.equal(pings(sockets[0]), 2);
  tick(2_000);
  assert.equal(sockets.length, 2, "silent since");
  // What the old edge says when it wakes up reaches nobody.
  assert.equal(sockets[0].onmessage, null);
});

test("an edge with many sockets is asked as seldom as it says", (t) => {
  const { link, sockets, tick } = wire(t);
  link.start();
  sockets[0].open();
  sockets[0].say({ type: "joined", heartbeat_ms: 20_000 });
  tick(19_500);
  assert.equal(pings(sockets[0]), 0);
  tick(1_000);
  assert.equal(pings(sockets[0]), 1);
  tick(13_000);
  assert.equal(sockets.length, 1, "it may be silent for 34 s in all");
  tick(2_000);
  assert.equal(sockets.length, 2);
});

test("an edge that is silent after an answer is left sooner", (t) => {
  const { link, sockets, tick } = wire(t);
  link.start();
  sockets[0].open();
  tick(3_000);
  link.send({ type: "answer" });
  link.expectReply();
  tick(4_900);
  assert.equal(sockets.length, 1);
  tick(400);
  assert.equal(sockets.length, 2);
});

test("close codes say whether to come back, and their reasons when", (t) => {
  const { link, sockets, states, tick } = wire(t);
  link.start();
  sockets[0].open();
  sockets[0].end(3001, "going_away 2000ms");
  tick(900);
  assert.equal(sockets.length, 1, "half of what the edge asked for, as the dice say");
  tick(200);
  assert.equal(sockets.length, 2);
  sockets[1].open();
  sockets[1].end(3500, "token_invalid");
  tick(120_000);
  assert.equal(sockets.length, 2);
  assert.deepEqual(states.at(-1), ["stopped", 3500]);
});

test("the network's return is no time to wait", (t) => {
  const { link, sockets, tick, fire } = wire(t);
  link.start();
  for (let tries = 0; tries < 8; tries += 1) {
    sockets.at(-1).end(1006);
    tick(20_000);
  }
  const { length } = sockets;
  sockets.at(-1).end(1006);
  fire("online");
  assert.equal(sockets.length, length + 1);
  sockets.at(-1).end(1006);
  fire("visibilitychange");
  assert.equal(sockets.length, length + 2);
});
