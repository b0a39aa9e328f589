// A QR code for a short text: byte mode, error correction level M, versions 1 to 6.

/** By version from 1: data codewords, error codewords a block, blocks, place of the alignment pattern. */
const VERSIONS = [
  [16, 10, 1, 0],
  [28, 16, 1, 18],
  [44, 26, 1, 22],
  [64, 18, 2, 26],
  [86, 24, 2, 30],
  [108, 16, 4, 34],
];

const EXP = new Uint8Array(255);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power += 1) {
  EXP[power] = value;
  LOG[value] = power;
  value = value < 128 ? value << 1 : (value << 1) ^ 0x11d;
}

const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);

/**
 * @param {string} text
 * @returns {boolean[][] | null} rows of modules, dark is true; null when the text is too long
 */
export function qr(text) {
  const bytes = new TextEncoder().encode(text);
  const at = VERSIONS.findIndex(([data]) => bytes.length + 2 <= data);
  if (at < 0) return null;
  const version = at + 1;
  const bits = bitsOf(codewords(bytes, VERSIONS[at]));
  let best = null;
  for (let mask = 0; mask < 8; mask += 1) {
    const grid = draw(version, bits, mask);
    const cost = penalty(grid);
    if (!best || cost < best.cost) best = { grid, cost };
  }
  return best.grid;
}

/** The text's codewords with their error correction, blocks interleaved. */
function codewords(bytes, [dataCount, errorCount, blocks]) {
  const bits = [0, 1, 0, 0, ...bitsOf([bytes.length, ...bytes]), 0, 0, 0, 0].slice(0, dataCount * 8);
  while (bits.length % 8) bits.push(0);
  const data = [];
  for (let bit = 0; bit < bits.length; bit += 8) data.push(bits.slice(bit, bit + 8).reduce((sum, b) => sum * 2 + b, 0));
  for (let pad = 0xec; data.length < dataCount; pad ^= 0xec ^ 0x11) data.push(pad);
  const size = dataCount / blocks;
  const parts = Array.from({ length: blocks }, (_, block) => data.slice(block * size, (block + 1) * size));
  const errors = parts.map((part) => remainder(part, errorCount));
  const woven = (rows, length) => Array.from({ length }, (_, column) => rows.map((row) => row[column])).flat();
  return [...woven(parts, size), ...woven(errors, errorCount)];
}

/** The Reed-Solomon remainder of a block. */
function remainder(data, count) {
  let generator = [1];
  for (let power = 0; power < count; power += 1) {
    const next = [...generator, 0];
    generator.forEach((factor, index) => {
      next[index + 1] ^= times(factor, EXP[power]);
    });
    generator = next;
  }
  const rest = [...data, ...new Array(count).fill(0)];
  for (let index = 0; index < data.length; index += 1) {
    const lead = rest[index];
    generator.forEach((factor, offset) => {
      rest[index + offset] ^= times(factor, lead);
    });
  }
  return rest.slice(data.length);
}

function bitsOf(bytes) {
  return bytes.flatMap((byte) => Array.from({ length: 8 }, (_, bit) => (byte >> (7 - bit)) & 1));
}

const MASKS = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (_, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
];

function draw(version, bits, mask) {
  const size = 17 + 4 * version;
  /** @type {(boolean | null)[][]} */
  const grid = Array.from({ length: size }, () => new Array(size).fill(null));
  for (const [y, x] of [[3, 3], [3, size - 4], [size - 4, 3]]) finder(grid, y, x);
  const align = VERSIONS[version - 1][3];
  if (align) ring(grid, align, align, 2, (far) => far !== 1);
  for (let at = 8; at < size - 8; at += 1) grid[6][at] = grid[at][6] = at % 2 === 0;
  format(grid, mask);
  let next = 0;
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right -= 1;
    for (let step = 0; step < size; step += 1) {
      const y = up ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (grid[y][x] !== null) continue;
        grid[y][x] = (bits[next] === 1) !== MASKS[mask](y, x);
        next += 1;
      }
    }
  }
  return /** @type {boolean[][]} */ (grid);
}

/** A finder pattern with its white border. */
function finder(grid, y, x) {
  ring(grid, y, x, 4, (far) => far !== 2 && far !== 4);
}

function ring(grid, y, x, reach, isDark) {
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      if (grid[y + dy]?.[x + dx] !== undefined) grid[y + dy][x + dx] = isDark(Math.max(Math.abs(dy), Math.abs(dx)));
    }
  }
}

/** The format bits, twice: level M is 00, then the mask, then their BCH remainder. */
function format(grid, mask) {
  const size = grid.length;
  let rest = mask << 10;
  for (let bit = 14; bit >= 10; bit -= 1) if ((rest >> bit) & 1) rest ^= 0x537 << (bit - 10);
  const word = ((mask << 10) | rest) ^ 0x5412;
  for (let bit = 0; bit < 15; bit += 1) {
    const dark = ((word >> bit) & 1) === 1;
    const near = bit < 6 ? bit : bit < 8 ? bit + 1 : size - 15 + bit;
    grid[near][8] = dark;
    grid[8][bit < 8 ? size - 1 - bit : bit === 8 ? 7 : 14 - bit] = dark;
  }
  grid[size - 8][8] = true;
}

/** How hard a code is to read, by the standard's rules for runs, blocks and balance. */
function penalty(grid) {
  const size = grid.length;
  let cost = 0;
  let dark = 0;
  for (let y = 0; y < size; y += 1) {
    for (const line of [grid[y], grid.map((row) => row[y])]) {
      for (let start = 0, x = 1; x <= size; x += 1) {
        if (x < size && line[x] === line[start]) continue;
        if (x - start >= 5) cost += x - start - 2;
        start = x;
      }
      const text = line.map(Number).join("");
      cost += 40 * (text.split("10111010000").length + text.split("00001011101").length - 2);
    }
    for (let x = 0; x < size; x += 1) {
      dark += Number(grid[y][x]);
      const same = grid[y][x];
      if (y && x && same === grid[y - 1][x] && same === grid[y][x - 1] && same === grid[y - 1][x - 1]) cost += 3;
    }
  }
  return cost + 10 * Math.floor(Math.abs((dark / (size * size)) * 20 - 10));
}
