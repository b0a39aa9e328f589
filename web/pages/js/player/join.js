// The first screen: a PIN and a name.

import { h, say } from "../shared/dom.js";
import { wordmark } from "../shared/shapes.js";
import { NICKNAME_CHARS_MAX } from "../shared/wire.js";

const PIN_DIGITS = 6;

/**
 * A PIN from the page's address: `?pin=123456` or `#123456`.
 * @param {{search: string, hash: string}} location
 * @returns {string}
 */
export function pinFrom(location) {
  const asked = new URLSearchParams(location.search).get("pin") ?? location.hash.slice(1);
  const digits = asked.replace(/\D/g, "");
  return digits.length === PIN_DIGITS ? digits : "";
}

/**
 * @param {object} options
 * @param {string} options.pin to begin with
 * @param {(pin: string, nickname: string) => void} options.onJoin
 * @param {{nickname: string, title: string} | null} options.earlier a seat that this browser had
 * @param {() => void} options.onGoOn
 */
export function joinScreen({ pin, onJoin, earlier, onGoOn }) {
  const trouble = h("p", { class: "trouble", id: "trouble", role: "alert" });
  const pinField = h("input", {
    id: "pin", name: "pin", inputmode: "numeric", autocomplete: "off", maxlength: 7, required: true,
    placeholder: "123456", value: pin, class: "field pin", "aria-describedby": "trouble", enterkeyhint: "next",
  });
  const nameField = h("input", {
    id: "nickname", name: "nickname", autocomplete: "off", autocapitalize: "words", spellcheck: "false",
    maxlength: NICKNAME_CHARS_MAX * 2, required: true, class: "field", "aria-describedby": "trouble", enterkeyhint: "go",
  });
  const button = h("button", { class: "button big", type: "submit" }, "Join");
  const submit = (event) => {
    event.preventDefault();
    const digits = pinField.value.replace(/\D/g, "");
    const nickname = nameField.value.trim();
    if (digits.length !== PIN_DIGITS) return complain(`A PIN has ${PIN_DIGITS} digits. It is on the big screen.`, pinField);
    if (!nickname) return complain("Type the name you want to play under.", nameField);
    complain("", null);
    onJoin(digits, nickname);
  };
  const complain = (text, field) => {
    say(trouble, text);
    for (const each of [pinField, nameField]) {
      if (each === field) each.setAttribute("aria-invalid", "true");
      else each.removeAttribute("aria-invalid");
    }
    field?.focus();
  };
  const form = h("form", { class: "card stack", novalidate: true, onsubmit: submit },
    h("h1", { class: "title", tabindex: "-1" }, "Join the quiz"),
    h("div", { class: "labelled" }, h("label", { for: "pin" }, "PIN"), pinField),
    h("div", { class: "labelled" }, h("label", { for: "nickname" }, "Your name"), nameField),
    trouble,
    button,
  );
  const goOn = earlier && h("section", { class: "card stack again", "aria-label": "Go on" },
    h("p", {}, "You were in ", h("strong", {}, earlier.title), "."),
    h("button", { class: "button second", type: "button", onclick: onGoOn }, `Go on as ${earlier.nickname}`),
  );
  const element = h("section", { class: "screen join" }, h("p", { class: "hero" }, wordmark()), goOn || null, form,
    h("p", { class: "aside" }, "Are you the host? ", h("a", { href: "/host" }, "Start a quiz")));
  return {
    element,
    first: () => (pinField.value ? nameField : pinField),
    /** @param {boolean} busy */
    busy(busy) {
      button.toggleAttribute("disabled", busy);
      say(button, busy ? "Joining …" : "Join");
    },
    /** @param {string} code @param {string} text */
    refuse(code, text) {
      complain(text, { pin_not_found: pinField, nickname_taken: nameField, nickname_invalid: nameField }[code] ?? null);
    },
    update() {},
  };
}
