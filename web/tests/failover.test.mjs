// Goal: an edge that dies or stops in the middle of a question costs nobody their seat, their
// receipt or their answer, and people see what is going on. Method: three edge processes behind one
// address, a host's and two players' windows in Chromium; the first edge is killed, the second is
// stopped and wakes up later. Controls: the players were at the edge that went, and the frames say
// that what they missed was given back to them.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { launch, openWindow } from "./stage/browser.mjs";
import { openLine } from "./stage/line.mjs";
import { look } from "./stage/look.mjs";
import { steps } from "./stage/steps.mjs";
import { answer, createGame, join, next, onQuestion, onScreen, received, verdict } from "./stage/people.mjs";

const EDGES = (process.env.QUIZSTREAM_EDGES ?? "").split(",");
const PIDS = (process.env.QUIZSTREAM_EDGE_PIDS ?? "").split(",").map(Number);
assert.ok(EDGES.length === 3 && PIDS.length === 3 && PIDS.every((pid) => pid > 1), "QUIZSTREAM_EDGES and QUIZSTREAM_EDGE_PIDS name three edges");
const SAMPLE = new URL("../pages/samples/demo.json", import.meta.url);
const PHONE = { width: 390, height: 844 };
/** A page leaves an edge that is silent after an answer in 5 s, and any other in 10 s. */
const MOVED_WITHIN_MS = 15_000;

let browser, line, folder, host, ada, bob;

before(async () => {
  browser = await launch();
  line = await openLine(...EDGES);
  folder = await mkdtemp(path.join(os.tmpdir(), "quizstream-"));
  [host, ada, bob] = await Promise.all([{ width: 1280, height: 800 }, PHONE, PHONE].map((size) => openWindow(browser, line.origin, size)));
  for (const window of [host, ada, bob]) window.heard = hears(window.page);
});

after(async () => {
  for (const pid of PIDS.slice(1)) signal(pid, "SIGCONT");
  await browser?.close();
  await line?.close();
  await rm(folder, { recursive: true, force: true });
});

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** What the edges say to a page, by socket. */
function hears(page) {
  const sockets = [];
  page.on("websocket", (socket) => {
    const messages = [];
    messages.openedAt = performance.now();
    sockets.push(messages);
    socket.on("framereceived", ({ payload }) => messages.push(JSON.parse(String(payload))));
  });
  return sockets;
}

/** The sample's first questions, with more time than this test needs. */
async function patientQuiz() {
  const quiz = JSON.parse(await readFile(SAMPLE, "utf8"));
  quiz.questions = quiz.questions.slice(0, 3).map((question) => ({ ...question, limit_ms: 120_000 }));
  const file = path.join(folder, "patient.json");
  await writeFile(file, JSON.stringify(quiz));
  return file;
}

/** How many answers the host's board counts. */
async function counted(page) {
  const picked = await page.locator(".bars .picked").allInnerTexts();
  return picked.map((text) => parseInt(text, 10)).reduce((sum, count) => sum + count, 0);
}

test("edges go, people stay", { timeout: 240_000 }, async (t) => {
  const run = steps(t, () => ({ host, ada, bob }));
  const everybody = [host, ada, bob];
  const greetings = (window) => window.heard.map((messages) => messages.find(({ type }) => type === "joined" || type === "hosting")).filter(Boolean);

  await run("a room", async () => {
    await host.page.goto("/host");
    const pin = await createGame(host.page, { file: await patientQuiz() });
    for (const [window, name] of [[ada, "Ada"], [bob, "Bob"]]) {
      await window.page.goto(`/?pin=${pin}`);
      await join(window.page, pin, name);
      await onScreen(window.page, "lobby");
    }
    await host.page.getByText("2 players").waitFor();
    await host.page.getByRole("button", { name: "Start the quiz" }).click();
    await Promise.all(everybody.map(({ page }) => onQuestion(page, 0)));
  });

  await run("an edge is killed in the middle of a question", async () => {
    await answer(ada.page, { picks: ["Mercury"] });
    await received(ada.page);
    // In this order: an edge that lived on would tell that the players have left.
    signal(PIDS[0], "SIGKILL");
    line.cut();
    await bob.page.getByText("Reconnecting").waitFor();
    await answer(bob.page, { picks: ["Venus"] });
    await bob.page.locator(".fate").getByText("Your answer is kept and will be sent").waitFor();
    await received(ada.page);
    await look(bob.page, "player-6-reconnecting");
    await look(ada.page, "player-6-reconnecting-received");
    await look(host.page, "host-6-reconnecting");
    line.mend();
    await Promise.all(everybody.map(({ page }) => page.locator('#connection[data-state="fine"]').waitFor({ state: "attached" })));
    const judged = await Promise.all([verdict(ada.page), verdict(bob.page)]);
    assert.deepEqual(judged.map(({ title }) => title), ["Right!", "Not this time"]);
    await onScreen(host.page, "board");
    assert.equal(await counted(host.page), 2, "each answer counts once");
    for (const window of everybody) {
      const [first, last] = [greetings(window)[0], greetings(window).at(-1)];
      assert.ok(greetings(window).length >= 2, "the control: it was at the edge that was killed");
      assert.ok(last.recovered, "what it missed was given back");
      assert.equal(last.cursor.epoch, first.cursor.epoch);
    }
  });

  await run("an edge stops in the middle of a question, and the pages leave it", async () => {
    await next(host.page);
    await Promise.all(everybody.map(({ page }) => onQuestion(page, 1)));
    const before = everybody.map(({ heard }) => heard.length);
    signal(PIDS[1], "SIGSTOP");
    line.use(EDGES[2]);
    const stopped = performance.now();
    await answer(bob.page, { picks: ["False"] });
    await received(bob.page);
    await answer(ada.page, { picks: ["True"] });
    const judged = await Promise.all([verdict(ada.page), verdict(bob.page)]);
    assert.deepEqual(judged.map(({ title }) => title), ["Right!", "Not this time"]);
    await onScreen(host.page, "board");
    assert.ok(everybody.every(({ heard }, at) => heard.length > before[at]), "the control: they were at the edge that stopped");
    const tookMs = Math.max(...everybody.map(({ heard }, at) => heard[before[at]].openedAt)) - stopped;
    t.diagnostic(`moved after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs <= MOVED_WITHIN_MS, `${tookMs} ms`);
  });

  await run("the stopped edge wakes up and changes nothing", async () => {
    signal(PIDS[1], "SIGCONT");
    await next(host.page);
    await Promise.all(everybody.map(({ page }) => onQuestion(page, 2)));
    await answer(ada.page, { picks: ["2", "17", "31"] });
    await received(ada.page);
    await answer(bob.page, { picks: ["9", "21"] });
    const judged = await Promise.all([verdict(ada.page), verdict(bob.page)]);
    assert.deepEqual(judged.map(({ title }) => title), ["Right!", "Not this time"]);
    await next(host.page);
    await Promise.all(everybody.map(({ page }) => onScreen(page, "over")));
  });

  await run("no console errors but the browser's own about cut lines", () => {
    const faults = everybody.flatMap((window) => window.faults);
    assert.deepEqual(faults.filter((fault) => !/WebSocket connection to .* failed|ERR_CONNECTION|ERR_EMPTY_RESPONSE/.test(fault)), []);
  });
});
