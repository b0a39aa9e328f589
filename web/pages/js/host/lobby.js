// How to join, and who has.

import { fill, h, say, svg } from "../shared/dom.js";
import { qr } from "../shared/qr.js";
import { sign } from "../shared/shapes.js";
import { count } from "../shared/words.js";

/** White modules around the code, as the standard wants. */
const QUIET = 4;

/**
 * @param {object} options
 * @param {import("./fold.js").State} options.state
 * @param {string} options.joinUrl
 * @param {() => void} options.onStart
 * @param {(name: import("../shared/wire.js").LobbyName) => void} options.onKick
 */
export function lobbyScreen({ state, joinUrl, onStart, onKick }) {
  const { pin, title, questions } = state.game;
  const url = new URL(joinUrl);
  const number = h("span", {});
  const names = h("ul", { class: "names", "aria-label": "Players" });
  const more = h("p", { class: "soft" });
  const start = h("button", { class: "button big", type: "button", onclick: onStart }, "Start the quiz");
  const hint = h("p", { class: "soft", id: "start-hint" });
  const code = qr(joinUrl);
  const element = h("section", { class: "screen lobby" },
    h("div", { class: "invite" },
      h("div", { class: "invite-head" },
        h("h1", { class: "title", tabindex: "-1" }, title),
        h("p", { class: "soft" }, count(questions, "question"))),
      h("div", { class: "pin-card" },
        h("div", {},
          h("p", { class: "step" }, "Open ", h("strong", { class: "address" }, url.host)),
          h("p", { class: "step" }, "and type the PIN"),
          h("p", { class: "pin-huge", "aria-label": `PIN ${[...pin].join(" ")}` }, h("span", {}, pin.slice(0, 3)), h("span", {}, pin.slice(3)))),
        code && h("figure", { class: "qr" }, drawn(code, joinUrl))),
      isLocal(url.hostname) && h("p", { class: "note" }, "This address works on this computer only. For phones, open this page under the computer’s name or address in the network.")),
    h("div", { class: "room" },
      h("div", { class: "room-head" }, h("p", { class: "people big" }, sign("people"), number)),
      names, more),
    h("div", { class: "controls" }, hint, start));
  return {
    element,
    /** @param {import("./fold.js").State} now @param {import("./commands.js").Commands} commands */
    update(now, commands) {
      const away = now.players - now.connected;
      say(number, `${count(now.players, "player")}${away > 0 && now.connected > 0 ? `, ${away} away` : ""}`);
      redraw(names, now.lobby, onKick);
      say(more, now.players > now.lobby.length && now.lobby.length > 0 ? `and ${now.players - now.lobby.length} more` : "");
      const isReady = now.players > 0 && !commands.isPending("open");
      start.toggleAttribute("disabled", !isReady);
      say(hint, now.players === 0 ? "Waiting for the first player …" : "");
    },
  };
}

/** Keeps the elements of names that stay, so that the focus on one of them does not jump. */
function redraw(list, lobby, onKick) {
  const there = new Map([...list.children].map((item) => [item.dataset.player, item]));
  fill(list, lobby.map((name) => there.get(name.player) ?? h("li", { class: "name", "data-player": name.player },
    h("bdi", {}, name.nickname),
    h("button", { class: "kick", type: "button", "aria-label": `Remove ${name.nickname}`, title: "Remove", onclick: () => onKick(name) }, sign("cross")))));
}

function isLocal(hostname) {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

function drawn(code, text) {
  const size = code.length + 2 * QUIET;
  let path = "";
  code.forEach((row, y) => row.forEach((dark, x) => {
    if (dark) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  }));
  return svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `QR code for ${text}`, "shape-rendering": "crispEdges" },
    svg("rect", { width: size, height: size, class: "qr-paper" }), svg("path", { d: path, class: "qr-ink" }));
}
