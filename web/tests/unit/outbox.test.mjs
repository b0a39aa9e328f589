// Goal: an answer is kept and sent again until the last word on it. Method: an outbox with a socket
// that can be closed, and the clock in our hands.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../pages/js/shared/outbox.js";

/** An outbox with a socket that can be closed, and the clock in our hands. */
function desk(t, stored = new Map()) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sent = [];
  const wire = { isOpen: true };
  const storage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value), removeItem: (key) => stored.delete(key) };
  const send = (message) => wire.isOpen && sent.push(message) > 0;
  const make = () => new Outbox({ storage, key: "k", send, onChange() {}, random: () => 0.5 });
  return { sent, wire, make, tick: (ms) => t.mock.timers.tick(ms) };
}

test("an answer that the log did not take is sent again under the same id", (t) => {
  const { sent, make, tick } = desk(t);
  const outbox = make();
  outbox.answer("G", 0, { picks: [1] });
  outbox.answer("G", 0, { picks: [0] });
  assert.equal(sent.length, 1, "one answer a question");
  const { submission } = sent[0];
  outbox.failed({ type: "error", code: "unavailable", submission, retry_after_ms: 400 });
  assert.equal(outbox.of("G", 0)?.status, "retrying");
  tick(499);
  assert.equal(sent.length, 1);
  tick(1);
  assert.deepEqual(sent[1], sent[0]);
  outbox.acked({ type: "ack", submission, receipt: "r", elapsed_ms: 5 });
  tick(60_000);
  assert.equal(sent.length, 2, "a receipt ends it");
  assert.equal(outbox.of("G", 0)?.receipt, "r");
});

test("silence is answered by sending again", (t) => {
  const { sent, make, tick } = desk(t);
  make().answer("G", 0, { text: "x" });
  tick(6_000);
  assert.equal(sent.length, 2);
  assert.equal(sent[0].submission, sent[1].submission);
});

test("an unacknowledged answer outlives a reload", (t) => {
  const { sent, wire, make } = desk(t);
  wire.isOpen = false;
  make().answer("G", 3, { number: 2 });
  wire.isOpen = true;
  const later = make();
  assert.equal(later.of("G", 3)?.status, "retrying");
  assert.equal(later.of("H", 3), null);
  later.resend("H");
  assert.equal(sent.length, 0);
  later.resend("G");
  assert.equal(sent.length, 1);
});

test("an answer that does not fit may be given again", (t) => {
  const { sent, make } = desk(t);
  const outbox = make();
  outbox.answer("G", 0, { text: "x" });
  outbox.failed({ type: "error", code: "response_misfit", submission: sent[0].submission });
  outbox.answer("G", 0, { text: "y" });
  assert.notEqual(sent[0].submission, sent[1].submission);
});

test("an edge's proof goes with the answer to another edge", (t) => {
  const { sent, wire, make, tick } = desk(t);
  const outbox = make();
  outbox.answer("G", 0, { picks: [1] });
  const { submission } = sent[0];
  assert.equal(sent[0].proof, undefined);
  outbox.taken({ type: "taken", submission: "other", question: 0, elapsed_ms: 9, proof: "not ours" });
  outbox.taken({ type: "taken", submission, question: 0, elapsed_ms: 9, proof: "p1" });
  make().resend("G");
  assert.deepEqual(sent[1], { ...sent[0], proof: "p1" }, "a reload keeps it");
  outbox.failed({ type: "error", code: "unavailable", submission, retry_after_ms: 400, proof: "p2" });
  tick(500);
  assert.equal(sent[2].proof, "p2");
  wire.isOpen = false;
  outbox.failed({ type: "error", code: "unavailable", submission, retry_after_ms: 400 });
  tick(500);
  assert.equal(outbox.of("G", 0)?.proof, "p2", "an error without one takes none away");
});

test("an answer that left is asked after when its question closes, and one that did not is not", (t) => {
  const { sent, wire, make, tick } = desk(t);
  const outbox = make();
  outbox.answer("G", 0, { picks: [1] });
  outbox.closed(0);
  assert.equal(outbox.of("G", 0)?.status, "sending");
  outbox.resend("G");
  assert.equal(sent.length, 2);
  outbox.acked({ type: "ack", submission: sent[0].submission, receipt: "r", elapsed_ms: 3 });
  assert.equal(outbox.of("G", 0)?.status, "received", "it was in the log");
  outbox.answer("G", 1, { picks: [1] });
  outbox.failed({ type: "error", code: "question_closed", submission: sent[2].submission });
  assert.equal(outbox.of("G", 1)?.status, "closed", "it was not");
  wire.isOpen = false;
  outbox.answer("G", 2, { picks: [1] });
  outbox.closed(2);
  assert.equal(outbox.of("G", 2)?.status, "closed");
  wire.isOpen = true;
  outbox.resend("G");
  tick(60_000);
  assert.equal(sent.length, 3);
});

test("an edge that does not know the question yet is asked again", (t) => {
  const { sent, make, tick } = desk(t);
  const outbox = make();
  outbox.answer("G", 0, { picks: [1] });
  outbox.failed({ type: "error", code: "question_unknown", submission: sent[0].submission });
  tick(1_000);
  assert.equal(sent.length, 2);
});
