// A question before something that cannot be undone.

import { h } from "../shared/dom.js";

/**
 * @param {{title: string, text: string, yes: string}} words
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes }) {
  return new Promise((resolve) => {
    const close = (answer) => () => dialog.close(answer);
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "card dialog", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title", class: "subtitle" }, title),
      h("p", {}, text),
      h("div", { class: "row end" },
        h("button", { class: "button second", type: "button", onclick: close("no") }, "Cancel"),
        h("button", { class: "button danger", type: "button", onclick: close("yes") }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
