// A wire between browsers and the product that can be cut and mended; with several edges behind it,
// a small balancer.

import net from "node:net";

/**
 * @param {...string} origins where the product is: the first that takes a connection gets it
 * @returns {Promise<{origin: string, cut: () => void, mend: () => void, mute: (on: boolean) => void,
 *   use: (...origins: string[]) => void, close: () => Promise<void>}>}
 */
export async function openLine(...origins) {
  const wires = new Set();
  let targets = origins;
  let isCut = false;
  const server = net.createServer(async (near) => {
    near.on("error", () => near.destroy());
    const far = isCut ? null : await reach(targets);
    if (!far || near.destroyed) {
      far?.destroy();
      return near.destroy();
    }
    const wire = { near, far };
    wires.add(wire);
    const end = () => {
      wires.delete(wire);
      near.destroy();
      far.destroy();
    };
    near.on("error", end).on("close", end);
    far.on("error", end).on("close", end);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const ends = () => [...wires].flatMap(({ near, far }) => [near, far]);
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    cut() {
      isCut = true;
      ends().forEach((end) => end.destroy());
    },
    mend() {
      isCut = false;
    },
    /** The product's words no longer arrive, though the connection stays. */
    mute(on) {
      for (const { far } of wires) {
        if (on) far.pause();
        else far.resume();
      }
    },
    /** New connections go here; those that are open stay, as behind a balancer's health check. */
    use(...next) {
      targets = next;
    },
    async close() {
      ends().forEach((end) => end.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A connection to the first that takes one. @returns {Promise<net.Socket | null>} */
async function reach(origins) {
  for (const origin of origins) {
    const { hostname, port } = new URL(origin);
    const far = net.connect(Number(port), hostname);
    const isOpen = await new Promise((resolve) => far.once("connect", () => resolve(true)).once("error", () => resolve(false)));
    if (isOpen) return far;
  }
  return null;
}
