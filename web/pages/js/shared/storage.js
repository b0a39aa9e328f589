// What the pages remember, and nothing breaks where a browser forbids it.

/**
 * A store that falls back to memory.
 * @param {"sessionStorage" | "localStorage"} kind
 * @returns {Pick<Storage, "getItem" | "setItem" | "removeItem">}
 */
function open(kind) {
  try {
    const storage = globalThis[kind];
    storage.setItem("quizstream.probe", "1");
    storage.removeItem("quizstream.probe");
    return storage;
  } catch {
    const memory = new Map();
    return {
      getItem: (key) => memory.get(key) ?? null,
      setItem: (key, value) => void memory.set(key, value),
      removeItem: (key) => void memory.delete(key),
    };
  }
}

/** This tab, over reloads. */
export const session = open("sessionStorage");
/** This browser. */
export const local = open("localStorage");

/** @param {Pick<Storage, "getItem">} storage @param {string} key @returns {any} null when it is not there */
export function load(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Pick<Storage, "setItem">} storage @param {string} key @param {unknown} value */
export function save(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Full: then a reload costs the seat, which is no reason to stop the game.
  }
}
