// Shows one screen at a time and moves the focus to its heading.

/**
 * @typedef {object} Screen
 * @property {HTMLElement} element
 * @property {(...args: any[]) => void} update
 * @property {() => void} [close]
 * @property {() => HTMLElement} [first] what gets the focus, if not the heading
 */

export class Stage {
  /** @type {any} */
  screen = null;
  name = "";
  #key = "";

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /**
   * Puts a screen up, unless it is up already.
   * @param {string} name
   * @param {string} key what it is about: another key is another screen
   * @param {() => Screen} make
   */
  show(name, key, make) {
    if (this.name === name && this.#key === key) return;
    const isFirst = this.name === "";
    this.screen?.close?.();
    this.name = name;
    this.#key = key;
    this.screen = make();
    this.root.dataset.screen = name;
    document.body.dataset.screen = name;
    this.root.replaceChildren(this.screen.element);
    scrollTo(0, 0);
    const target = this.screen.first?.() ?? this.screen.element.querySelector("h1");
    // The page's own beginning keeps the browser's focus, so that nothing is skipped.
    if (!isFirst) target?.focus({ preventScroll: true });
  }

  /** @param {...any} args */
  update(...args) {
    this.screen?.update(...args);
  }
}
