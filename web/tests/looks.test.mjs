// Goal: every main state of both pages can be used by everybody and looks right. Method: a game of
// the sample with more time a question, loaded as a file; axe and pictures at each state.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { launch, openWindow } from "./stage/browser.mjs";
import { look } from "./stage/look.mjs";
import { steps } from "./stage/steps.mjs";
import { answer, createGame, join, next, onQuestion, onScreen, received, verdict } from "./stage/people.mjs";

const ORIGIN = process.env.QUIZSTREAM_URL;
assert.ok(ORIGIN, "QUIZSTREAM_URL says where the product is");
const SAMPLE = new URL("../pages/samples/demo.json", import.meta.url);

const PHONE = { width: 390, height: 844 };
const NAMES = ["Grace", "Linus", "Hedy", "Alan", "Katherine", "Tim", "Radia", "Barbara Liskov’s best", "Ken", "محمد", "さくら"];

let browser, folder, host, players;

before(async () => {
  browser = await launch();
  folder = await mkdtemp(path.join(os.tmpdir(), "quizstream-"));
  host = await openWindow(browser, ORIGIN, { width: 1280, height: 800 });
  players = await Promise.all(NAMES.map(() => openWindow(browser, ORIGIN, PHONE)));
});

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The sample with `limit_ms` for everything. */
async function patientQuiz(limitMs) {
  const quiz = JSON.parse(await readFile(SAMPLE, "utf8"));
  for (const question of quiz.questions) question.limit_ms = limitMs;
  const file = path.join(folder, "patient.json");
  await writeFile(file, JSON.stringify(quiz));
  return file;
}

test("how it looks", { timeout: 600_000 }, async (t) => {
  const [grace, linus] = players;
  const run = steps(t, () => ({ host, grace, linus }));
  let pin = "";
  await run("before a game", async () => {
    await host.page.goto("/host");
    await look(host.page, "host-1-setup");
    const bad = path.join(folder, "bad.json");
    await writeFile(bad, JSON.stringify({ title: "Bad", questions: [{ type: "single", prompt: "?", options: ["one"], answer: "two" }] }));
    await host.page.getByLabel("Quiz file").setInputFiles(bad);
    await host.page.getByRole("button", { name: "Create the quiz room" }).click();
    await host.page.getByText("This quiz file has mistakes").waitFor();
    await look(host.page, "host-1-setup-mistakes");
    host.faults.splice(0, host.faults.length, ...host.faults.filter((fault) => !/422/.test(fault)));
    await grace.page.goto("/");
    await look(grace.page, "player-1-join");
    await grace.page.getByRole("button", { name: "Join" }).click();
    await grace.page.getByText("A PIN has 6 digits").waitFor();
    await look(grace.page, "player-1-join-error");
  });

  await run("lobby", async () => {
    pin = await createGame(host.page, { file: await patientQuiz(180_000) });
    await look(host.page, "host-2-lobby-empty");
    for (const [at, { page }] of players.entries()) {
      await page.goto(`/?pin=${pin}`);
      await join(page, pin, NAMES[at]);
      await onScreen(page, "lobby");
    }
    await host.page.getByText("11 players").waitFor();
    await look(host.page, "host-2-lobby");
    await look(grace.page, "player-2-lobby");
    await host.page.getByRole("button", { name: "Remove Ken" }).click();
    await look(host.page, "host-2-lobby-remove");
    await host.page.getByRole("button", { name: "Cancel" }).click();
    await host.page.getByRole("button", { name: "Start the quiz" }).click();
  });

  const kinds = ["single", "true-false", "multiple", "text", "number", "order", "single-2", "poll", "text-2", "multiple-2"];
  const right = [
    { picks: ["Mercury"] }, { picks: ["True"] }, { picks: ["2", "17", "31"] }, { text: "Canberra" }, { number: "206" },
    { order: ["Printing press", "Steam locomotive", "Telephone", "World Wide Web"] }, { picks: ["Piano"] },
    { picks: ["At dawn"] }, { text: "mercury" }, { picks: ["Platypus", "Penguin", "Crocodile"] },
  ];
  const wrong = [
    { picks: ["Mars"] }, { picks: ["False"] }, { picks: ["2", "17"] }, { text: "Sydney" }, { number: "12" },
    { order: ["World Wide Web", "Telephone", "Steam locomotive", "Printing press"] }, { picks: ["Accordion"] },
    { picks: ["Late at night"] }, { text: "iron" }, { picks: ["Platypus"] },
  ];
  for (const [number, kind] of kinds.entries()) {
    await run(`question ${number + 1}: ${kind}`, async () => {
      await Promise.all([host, ...players].map(({ page }) => onQuestion(page, number)));
      const isNew = number < 6 || number === 7;
      if (isNew) {
        await look(host.page, `host-3-question-${kind}`);
        await look(grace.page, `player-3-question-${kind}`);
      }
      await answer(grace.page, right[number]);
      await received(grace.page);
      if ([0, 3, 5].includes(number)) await look(grace.page, `player-4-received-${kind}`);
      for (const { page } of players.slice(2)) await answer(page, Math.abs(number - 3) % 3 ? right[number] : wrong[number]);
      await host.page.getByText("10 of 11 players answered").waitFor();
      if (number === 0) await look(host.page, "host-3-question-answered");
      await answer(linus.page, wrong[number]);
      await verdict(grace.page);
      await verdict(linus.page);
      await onScreen(host.page, "board");
      if (isNew) {
        await look(host.page, `host-4-board-${kind}`);
        await look(grace.page, `player-5-board-${kind}`);
        if ([0, 2].includes(number)) await look(linus.page, `player-5-board-${kind}-other`);
      }
      await next(host.page);
    });
  }

  await run("podium", async () => {
    await Promise.all([host, ...players].map(({ page }) => onScreen(page, "over")));
    await look(host.page, "host-5-podium");
    await look(grace.page, "player-6-podium");
    await look(linus.page, "player-6-podium-other");
  });

  await run("nothing was complained about", () => {
    assert.deepEqual([host, ...players].flatMap(({ faults }) => faults), []);
  });
});
