// Goal: the rules of the pages that need no browser. Method: plain calls, with an oracle of its own
// where there is one.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import jsQR from "jsqr";
import { fold as hostFold, empty as hostEmpty, screenOf as hostScreen } from "../../pages/js/host/fold.js";
import { numberFrom, optionOfKey } from "../../pages/js/player/controls.js";
import { empty, fold, ownOutcome, screenOf } from "../../pages/js/player/fold.js";
import { pinFrom } from "../../pages/js/player/join.js";
import { qr } from "../../pages/js/shared/qr.js";
import { newId, reconnects } from "../../pages/js/shared/wire.js";
import { errorText, ordinal } from "../../pages/js/shared/words.js";

const PAGES = fileURLToPath(new URL("../../pages/", import.meta.url));
/** What a phone has to load before it can join, compressed. */
const PLAYER_PAGE_BYTES_MAX = 60 * 1024;

test("an id is 63 bits of Crockford base32", () => {
  const seen = new Set(Array.from({ length: 1000 }, () => newId()));
  assert.equal(seen.size, 1000);
  for (const id of seen) assert.match(id, /^[0-7][0-9A-HJKMNP-TV-Z]{12}$/);
  assert.equal(newId((bytes) => bytes.fill(255)), "7ZZZZZZZZZZZZ");
});

test("close codes split as the protocol says", () => {
  for (const code of [1001, 1006, 1011, 3001, 3008, 3012, 3013, 3499, 4000, 4499]) assert.ok(reconnects(code), `${code}`);
  for (const code of [1000, 1003, 1007, 1009, 3500, 3501, 3503, 3999, 4500, 4999]) assert.ok(!reconnects(code), `${code}`);
});

test("a PIN is taken from the address", () => {
  assert.equal(pinFrom({ search: "?pin=123456", hash: "" }), "123456");
  assert.equal(pinFrom({ search: "", hash: "#123 456" }), "123456");
  for (const hash of ["", "#12345", "#1234567", "#abcdef"]) assert.equal(pinFrom({ search: "", hash }), "");
});

test("numbers are read as people write them", () => {
  const cases = [["12", 12], ["3,5", 3.5], ["3.5", 3.5], ["−4", -4], ["1 000", 1000], ["1'000.5", 1000.5], [".5", 0.5], ["+7", 7]];
  for (const [text, value] of cases) assert.equal(numberFrom(text), value, text);
  for (const text of ["", "abc", "1.2.3", "1e5", "--2", "0x10", "Infinity"]) assert.equal(numberFrom(text), null, text);
});

test("keys stand for options", () => {
  assert.deepEqual(["1", "4", "a", "D"].map((key) => optionOfKey(key, 4)), [0, 3, 0, 3]);
  for (const key of ["5", "0", "e", "Enter", "Tab", " "]) assert.equal(optionOfKey(key, 4), -1, key);
});

test("places have their endings", () => {
  const cases = { 1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 102: "102nd", 111: "111th" };
  for (const [n, text] of Object.entries(cases)) assert.equal(ordinal(Number(n)), text);
});

test("every code of the protocol has words for people", async () => {
  const page = await readFile(path.join(PAGES, "../../docs/ARCHITECTURE.md"), "utf8");
  const list = page.split("Error codes:")[1].split("\nAn error leaves")[0];
  const codes = [...list.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code).filter((code) => code !== "reason");
  assert.ok(codes.length >= 20);
  // These four say that the page itself is wrong; there is nothing that a person could do.
  const ours = ["bad_frame", "unknown_type", "bad_field", "not_joined", "already_joined"];
  for (const code of codes.filter((each) => !ours.includes(each))) {
    assert.doesNotMatch(errorText({ code }), /Something went wrong/, code);
  }
});

const QUESTION = { type: "question", question: 0, of: 2, kind: "single", prompt: "?", options: ["a", "b"], points_max: 1000, limit_ms: 9000, left_ms: 9000 };
const JOINED = { type: "joined", game: "G", player: "P", nickname: "Ada", token: "t", title: "T", questions: 2, players: 1 };
const BOARD = { type: "board", question: 0, correct: {}, distribution: [], answered: 0, correct_count: 0, players: 1, top: [], last: false };
const OUTCOME = { type: "outcome", question: 0, verdict: "correct", points: 1, total: 1, rank: 1, gap: 0, streak: 1, players: 1 };

test("the player's screens follow the messages", () => {
  let state = empty();
  const after = (message, screen) => {
    state = fold(state, message, 1000);
    assert.equal(screenOf(state), screen, message.type);
  };
  assert.equal(screenOf(state), "join");
  after(JOINED, "lobby");
  after({ type: "lobby", players: 2, connected: 2, joined: [{ player: "Q", nickname: "Bob" }], left: [] }, "lobby");
  after(QUESTION, "question");
  assert.equal(state.endsAt, 10_000);
  after({ type: "closed", question: 7, reason: "host" }, "question");
  after({ type: "closed", question: 0, reason: "host" }, "closed");
  after(OUTCOME, "closed");
  after(BOARD, "board");
  assert.equal(ownOutcome(state)?.points, 1);
  after({ ...QUESTION, question: 1 }, "question");
  assert.equal(ownOutcome(state), null);
  after({ ...JOINED }, "question");
  after({ type: "from_the_future" }, "question");
  after({ type: "over", reason: "host", players: 1, top: [] }, "over");
  after({ ...JOINED, game: "H" }, "lobby");
});

test("a greeting in the middle of a question that is closed waits for the board", () => {
  const state = [JOINED, { ...QUESTION, left_ms: 0 }].reduce((sum, message) => fold(sum, message, 0), empty());
  assert.equal(screenOf(state), "closed");
});

test("the host's lobby gains and loses names, the newest first", () => {
  const hosting = { type: "hosting", game: "G", pin: "123456", title: "T", questions: 2, players: 2, lobby: [{ player: "1", nickname: "a" }, { player: "2", nickname: "b" }] };
  let state = hostFold(hostEmpty(), hosting, 0);
  assert.equal(hostScreen(state), "lobby");
  state = hostFold(state, { type: "lobby", players: 2, connected: 2, joined: [{ player: "3", nickname: "c" }], left: ["1"] }, 0);
  assert.deepEqual(state.lobby.map(({ player }) => player), ["3", "2"]);
  state = hostFold(state, QUESTION, 0);
  state = hostFold(state, { type: "counted", question: 0, answered: 1, players: 2 }, 0);
  // A greeting repeats the question: what was counted stays.
  state = hostFold(state, QUESTION, 0);
  assert.equal(state.answered, 1);
  state = hostFold(state, BOARD, 0);
  assert.equal(hostScreen(state), "board");
});

test("a QR code is read back by another program", () => {
  const scale = 4;
  for (let length = 1; length <= 106; length += 7) {
    const text = `http://quiz.example:8080/?pin=123456&${"xyz9".repeat(30)}`.slice(0, length);
    const code = qr(text);
    const size = (code.length + 8) * scale;
    const pixels = new Uint8ClampedArray(size * size * 4).fill(255);
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        const dark = code[Math.floor(y / scale) - 4]?.[Math.floor(x / scale) - 4];
        if (dark) pixels.fill(0, (y * size + x) * 4, (y * size + x) * 4 + 3);
      }
    }
    assert.equal(jsQR(pixels, size, size)?.data, text);
  }
  assert.equal(qr("x".repeat(107)), null);
});

test("a player's page is small", async (t) => {
  const files = new Set(["player.html", "favicon.svg"]);
  for (const file of files) {
    const text = await readFile(path.join(PAGES, file), "utf8");
    const found = file.endsWith(".html")
      ? [...text.matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, name]) => name)
      : [...text.matchAll(/^import .*?"(\.[^"]+)"/gms)].map(([, name]) => path.join(path.dirname(file), name));
    found.forEach((name) => files.add(name));
  }
  assert.ok(files.size > 15);
  const sizes = await Promise.all([...files].map(async (file) => gzipSync(await readFile(path.join(PAGES, file))).length));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  t.diagnostic(`${files.size} files, ${bytes} bytes compressed`);
  assert.ok(bytes <= PLAYER_PAGE_BYTES_MAX, `${bytes} bytes`);
});
