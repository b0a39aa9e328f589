// A wire between a browser and the product that can be cut and mended.

import net from "node:net";

/**
 * @param {string} origin where the product is
 * @returns {Promise<{origin: string, cut: () => void, mend: () => void, mute: (on: boolean) => void, close: () => Promise<void>}>}
 */
export async function openLine(origin) {
  const { hostname, port } = new URL(origin);
  const wires = new Set();
  let isCut = false;
  const server = net.createServer((near) => {
    if (isCut) return near.destroy();
    const far = net.connect(Number(port), hostname);
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
    async close() {
      ends().forEach((end) => end.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
