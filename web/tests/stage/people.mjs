// What a host and a player do with their hands.

import assert from "node:assert/strict";

/** @param {import("playwright-core").Page} page @param {string} screen */
export async function onScreen(page, screen) {
  await page.locator(`#main[data-screen="${screen}"]`).waitFor();
}

/** Waits for a question's screen by its number, from 0. */
export async function onQuestion(page, number) {
  await onScreen(page, "question");
  const title = new RegExp(`(Question|· host)`);
  await page.waitForFunction(([n]) => {
    const text = document.querySelector("#topbar .at, .ask .task")?.textContent ?? "";
    return text.startsWith(`${n} /`) || text.startsWith(`Question ${n} of`);
  }, [number + 1]);
  assert.match(await page.title(), title);
}

/** Types into the join form and sends it. */
export async function join(page, pin, name) {
  await page.getByLabel("PIN").fill(pin);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join", exact: true }).click();
}

/** Creates a game on the host page and gives its PIN. */
export async function createGame(page, { file } = {}) {
  if (file) {
    await page.getByLabel("Quiz file").setInputFiles(file);
    await page.getByText(/: \d+ questions?$/).waitFor();
  }
  await page.getByRole("button", { name: "Create the quiz room" }).click();
  await onScreen(page, "lobby");
  const pin = (await page.locator(".pin-huge").innerText()).replace(/\s/g, "");
  assert.match(pin, /^\d{6}$/);
  return pin;
}

/**
 * Answers the open question.
 * @param {import("playwright-core").Page} page
 * @param {{picks?: string[], order?: string[], text?: string, number?: string}} answer options by their text
 */
export async function answer(page, { picks, order, text, number }) {
  if (picks?.length === 1 && !(await page.locator(".options.some").count())) {
    return option(page, picks[0]).click();
  }
  for (const each of picks ?? order ?? []) {
    const button = option(page, each);
    // The last option of an order falls into its place by itself.
    if (!order || (await button.count())) await button.click();
  }
  if (text !== undefined) await page.getByLabel("Your answer").fill(text);
  if (number !== undefined) await page.getByLabel("Your number").fill(number);
  await page.locator(".send").click();
}

function option(page, text) {
  return page.locator("button.option").filter({ has: page.locator(".text", { hasText: new RegExp(`^${text}$`) }) });
}

/** Waits for the receipt. */
export async function received(page) {
  await page.locator('.fate[data-status="received"]').waitFor();
}

/** The verdict on the board, and the points of the player's own standing. */
export async function verdict(page) {
  await onScreen(page, "board");
  await page.locator(".verdict .standing").waitFor();
  const title = await page.locator(".verdict h1").innerText();
  const [place, points] = await page.locator(".standing dd").allInnerTexts();
  return { title, place, points: Number(points.replace(/\D/g, "")) };
}

/** Goes on to the next question, or to the podium. */
export async function next(page) {
  await onScreen(page, "board");
  await page.getByRole("button", { name: /Next question|Show the podium/ }).click();
}
