// Goal: a whole game works by hand in a real browser. Method: a host's and players' windows in
// Chromium against the running product at QUIZSTREAM_URL; every kind of question, right and
// wrong, with reloads and lost connections on the way.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openWindow } from "./stage/browser.mjs";
import { openLine } from "./stage/line.mjs";
import { steps } from "./stage/steps.mjs";
import { answer, createGame, join, next, onQuestion, onScreen, received, verdict } from "./stage/people.mjs";

const ORIGIN = process.env.QUIZSTREAM_URL;
assert.ok(ORIGIN, "QUIZSTREAM_URL says where the product is");

const PHONE = { width: 390, height: 844 };
const PROJECTOR = { width: 1280, height: 800 };
/** A name that would be an element and a script, if anybody took it for markup. */
const MARKUP = "<b onclick=x>Bob</b>";

/** For each question of the sample: what Ada answers, what Bob answers, and how each is judged. */
const ROUNDS = [
  { ada: { picks: ["Mercury"] }, bob: { picks: ["Venus"] }, judged: ["Right!", "Not this time"] },
  { ada: { picks: ["True"] }, bob: { picks: ["False"] }, judged: ["Right!", "Not this time"] },
  { ada: { picks: ["2", "17", "31"] }, bob: { picks: ["9", "21"] }, judged: ["Right!", "Not this time"] },
  { ada: { text: "canberra" }, bob: { text: "Sydney" }, judged: ["Right!", "Not this time"] },
  { ada: { number: "206" }, bob: { number: "1000,5" }, judged: ["Right!", "Not this time"] },
  {
    ada: { order: ["Printing press", "Steam locomotive", "Telephone", "World Wide Web"] },
    bob: { order: ["World Wide Web", "Telephone", "Steam locomotive", "Printing press"] },
    judged: ["Right!", "Not this time"],
  },
  { ada: { picks: ["Piano"] }, bob: { picks: ["Accordion"] }, judged: ["Right!", "Not this time"] },
  { ada: { picks: ["At dawn"] }, bob: { picks: ["Late at night"] }, judged: ["Thanks for your vote", "Thanks for your vote"] },
  { ada: { text: "Quicksilver" }, bob: null, judged: ["Right!", "No answer"] },
  { ada: { picks: ["Platypus", "Penguin", "Crocodile"] }, bob: { picks: ["Platypus", "Penguin"] }, judged: ["Right!", "Partly right"] },
];

let browser, line, host, ada, bob;

before(async () => {
  browser = await launch();
  line = await openLine(ORIGIN);
  host = await openWindow(browser, ORIGIN, PROJECTOR);
  ada = await openWindow(browser, ORIGIN, PHONE);
  bob = await openWindow(browser, line.origin, PHONE);
});

after(async () => {
  await browser?.close();
  await line?.close();
});

test("a whole game", { timeout: 420_000 }, async (t) => {
  const run = steps(t, () => ({ host, ada, bob }));
  let pin = "";
  let lastPoints = 0;

  await run("the host creates a room with the sample quiz", async () => {
    await host.page.goto("/host");
    pin = await createGame(host.page);
    assert.match(await host.page.title(), /A little of everything/);
    await host.page.locator(".qr svg[role=img]").waitFor();
    assert.ok(await host.page.getByRole("button", { name: "Start the quiz" }).isDisabled());
  });

  await run("a PIN that is none and a name that is taken are told in words", async () => {
    await ada.page.goto("/");
    await join(ada.page, pin === "123456" ? "654321" : "123456", "Ada");
    await ada.page.getByText("There is no quiz with this PIN").waitFor();
    await join(ada.page, pin, "Ada");
    await onScreen(ada.page, "lobby");
    await bob.page.goto(`/#${pin}`);
    assert.equal(await bob.page.getByLabel("PIN").inputValue(), pin);
    await join(bob.page, pin, "ADA");
    await bob.page.getByText("has this name already").waitFor();
    await join(bob.page, pin, MARKUP);
    await onScreen(bob.page, "lobby");
  });

  await run("a nickname with markup is text", async () => {
    for (const { page } of [host, ada, bob]) {
      await page.locator(".names .name bdi").filter({ hasText: MARKUP }).waitFor();
      assert.equal(await page.locator("bdi b, h1 b").count(), 0);
    }
  });

  await run("the host removes a player, who is told and cannot come back", async () => {
    const mallory = await openWindow(browser, ORIGIN, PHONE);
    await mallory.page.goto(`/?pin=${pin}`);
    await join(mallory.page, pin, "Mallory");
    await onScreen(mallory.page, "lobby");
    await host.page.getByRole("button", { name: "Remove Mallory" }).click();
    await host.page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await host.page.getByRole("button", { name: "Remove Mallory" }).click();
    await host.page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await mallory.page.getByText("The host has removed you").waitFor();
    await host.page.getByRole("button", { name: "Remove Mallory" }).waitFor({ state: "detached" });
    assert.deepEqual(mallory.faults, []);
    await mallory.context.close();
  });

  await run("a player who closed the page by accident goes on under the same name", async () => {
    await ada.page.close();
    ada.page = await ada.newPage();
    await ada.page.goto("/");
    await ada.page.getByRole("button", { name: "Go on as Ada" }).click();
    await ada.page.getByText("You’re in, Ada!").waitFor();
  });

  await run("the host starts", async () => {
    await host.page.getByRole("button", { name: "Start the quiz" }).click();
  });

  for (const [number, round] of ROUNDS.entries()) {
    await run(`question ${number + 1}`, async () => {
      await Promise.all([host, ada, bob].map(({ page }) => onQuestion(page, number)));
      await (TROUBLES[number] ?? plainly)(round, number);
      const judged = await Promise.all([verdict(ada.page), verdict(bob.page)]);
      assert.deepEqual(judged.map(({ title }) => title), round.judged);
      assert.ok(judged[0].points >= lastPoints, "points are never lost");
      assert.ok(round.judged[0] !== "Right!" || judged[0].points > lastPoints, "a right answer pays");
      lastPoints = judged[0].points;
      await onScreen(host.page, "board");
      if (number === 0) await assertBars();
      await next(host.page);
    });
  }

  await run("the podium", async () => {
    await Promise.all([host, ada, bob].map(({ page }) => onScreen(page, "over")));
    assert.match(await ada.page.locator(".final-rank").innerText(), /^1st/);
    assert.match(await bob.page.locator(".final-rank").innerText(), /^2nd/);
    const winners = await host.page.locator(".podium .who").allInnerTexts();
    assert.deepEqual(winners.toSorted(), [MARKUP, "Ada"].toSorted());
    const total = await host.page.locator(".podium .place-1 .total").innerText();
    assert.equal(Number(total.replace(/\D/g, "")), lastPoints);
    await ada.page.reload();
    await onScreen(ada.page, "over");
    assert.match(await ada.page.locator(".final-rank").innerText(), /^1st/);
    await host.page.reload();
    await onScreen(host.page, "over");
  });

  await run("no console errors, no CSP violations, no third parties", () => {
    // What a cut line leaves in the console is the browser's own word, not the page's.
    const own = bob.faults.filter((fault) => !/WebSocket connection to .* failed|ERR_INTERNET_DISCONNECTED/.test(fault));
    assert.deepEqual([...host.faults, ...ada.faults, ...own], []);
  });
});

async function plainly(round) {
  await answer(ada.page, round.ada);
  await received(ada.page);
  if (round.bob) await answer(bob.page, round.bob);
}

/** What goes wrong on the way, by question. */
const TROUBLES = {
  1: async (round) => {
    // The keyboard: A is the first option, 2 the second.
    await ada.page.keyboard.press("a");
    await received(ada.page);
    await bob.page.keyboard.press("2");
    assert.ok(round.ada && round.bob);
  },
  2: async (round, number) => {
    await ada.page.reload();
    await onQuestion(ada.page, number);
    await answer(ada.page, round.ada);
    await received(ada.page);
    await ada.page.reload();
    await received(ada.page);
    assert.equal(await ada.page.locator(".option.picked").count(), 3, "the choice is still shown");
    await answer(bob.page, round.bob);
  },
  4: async (round) => {
    // Ada waits: when everybody who is connected has answered, the question closes.
    line.cut();
    await bob.page.getByText("Reconnecting").waitFor();
    await answer(bob.page, round.bob);
    await bob.page.locator('.fate[data-status="retrying"]').waitFor();
    line.mend();
    await received(bob.page);
    await answer(ada.page, round.ada);
  },
  5: async (round) => {
    // A network that goes without a word: the socket stays open and nothing comes through it.
    line.mute(true);
    await bob.context.setOffline(true);
    await bob.page.getByText("You are offline").waitFor();
    await bob.context.setOffline(false);
    await bob.page.getByText("You are offline").waitFor({ state: "detached" });
    await answer(bob.page, round.bob);
    await received(bob.page);
    await answer(ada.page, round.ada);
  },
  6: async (round, number) => {
    await host.page.reload();
    await onQuestion(host.page, number);
    await plainly(round);
  },
  8: async (round) => {
    await plainly(round);
    await host.page.getByText("1 of 2 players answered").waitFor();
    await host.page.getByRole("button", { name: "Close now" }).click();
  },
};

async function assertBars() {
  const rows = await host.page.locator(".bars li .bar-label").allInnerTexts();
  assert.equal(rows.length, 4);
  assert.match(rows[1].replace(/\s+/g, " "), /B Mercury right 1/);
  assert.equal(await host.page.locator(".bars .is-right").count(), 1);
}
