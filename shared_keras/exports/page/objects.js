// From a photo of one object to an image like those of Fashion-MNIST:
// shared_keras/photos/objects.py and reading.py.

const LARGE = 28 * 64;
const SEARCH = 256;
const CLOSE = 0.05 * 255;
const FAINT = 3;
const SHADE = 3 * CLOSE;
const LEAST = 1 / 1000;
const PLAIN = 8;
const WHITE = 200;

function luminance(channels, i) {
  return 0.299 * channels[0][i] + 0.587 * channels[1][i] + 0.114 * channels[2][i];
}

// Takes the bytes of a canvas; puts what is transparent on white, or a white drawing on black.
function photoOf({ data, width, height }) {
  const n = width * height;
  let opaque = 0, shown = 0;
  const colours = [0, 1, 2].map((c) => Float64Array.from({ length: n }, (_, i) => data[4 * i + c]));
  for (let i = 0; i < n; i++) {
    opaque += data[4 * i + 3];
    shown += Math.floor(luminance(colours, i) + 0.5) * data[4 * i + 3];
  }
  if (opaque < 255 * n) {
    const ground = shown / Math.max(opaque, 1) > WHITE ? 0 : 255;
    for (const channel of colours) {
      for (let i = 0; i < n; i++) {
        const alpha = data[4 * i + 3] / 255;
        channel[i] = Math.round(channel[i] * alpha + ground * (1 - alpha));
      }
    }
  }
  return shrink({ channels: colours, height, width }, LARGE);
}

// Returns 28 x 28 pixels, or null if nothing stands out from its ground.
function prepareObject(photo) {
  const taken = asItIs(photo);
  if (taken) return taken;
  const { channels, height, width } = shrink(photo, SEARCH);
  const { ground, edge } = groundOf(channels, height, width);
  const mask = objectOn(channels, ground, edge, height, width);
  if (!mask) return null;
  const lighter = channels[0].map((_, i) => luminance(channels, i) - luminance(ground, i));
  let sum = 0;
  mask.forEach((yes, i) => { if (yes) sum += lighter[i]; });
  const levels = lighter.map((level, i) => (mask[i] ? Math.max(sum < 0 ? -level : level, 0) : 0));
  const fitted = resizeLevels(cut(levels, width, boxOf(mask, height, width, 0)), SIDE);
  const highest = fitted.levels.reduce((a, b) => Math.max(a, b));
  const image = new Uint8Array(SIDE * SIDE);
  const top = Math.floor((SIDE - fitted.height) / 2);
  const left = Math.floor((SIDE - fitted.width) / 2);
  fitted.levels.forEach((level, i) => {
    const to = (top + Math.floor(i / fitted.width)) * SIDE + left + (i % fitted.width);
    image[to] = roundEven(Math.min(Math.max(level * (255 / highest), 0), 255));
  });
  return image;
}

function onBorder(i, height, width) {
  const x = i % width;
  return x === 0 || x === width - 1 || i < width || i >= (height - 1) * width;
}

// Returns a grey image of 28 x 28 pixels on plain black or white, light on dark, or null.
function asItIs({ channels, height, width }) {
  const [grey, green, blue] = channels;
  if (height !== SIDE || width !== SIDE) return null;
  if (grey.some((level, i) => level !== green[i] || level !== blue[i])) return null;
  let black = 0, white = 0, n = 0;
  const rows = [0, SIDE - 1];
  for (const fixed of rows) {
    for (let j = 0; j < SIDE; j++) {
      for (const level of [grey[fixed * SIDE + j], grey[j * SIDE + fixed]]) {
        n += 1;
        black += level <= PLAIN;
        white += level >= 255 - PLAIN;
      }
    }
  }
  const flat = grey.every((level) => level === grey[0]);
  if (flat || Math.max(black, white) / n < 0.1) return null;
  return Uint8Array.from(grey, (level) => (white > black ? 255 - level : level));
}

function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

// Fits a plane to the colours along the border; returns its colours, and where the border shows it.
function groundOf(channels, height, width) {
  const n = height * width;
  const longest = Math.max(height, width);
  let edge = [];
  for (let i = 0; i < n; i++) if (onBorder(i, height, width)) edge.push(i);
  const medians = channels.map((levels) => quantile(edge.map((i) => levels[i]), 0.5));
  const away = (i) => Math.max(...channels.map((levels, c) => Math.abs(levels[i] - medians[c])));
  const most = Math.max(SHADE, quantile(edge.map(away), 0.5));
  edge = edge.filter((i) => away(i) <= most);
  const row = (i) => [1, (i % width) / longest, Math.floor(i / width) / longest];
  const ground = channels.map((levels) => {
    const slopes = leastSquares(edge.map(row), edge.map((i) => levels[i]));
    return Float64Array.from({ length: n }, (_, i) => {
      const [, x, y] = row(i);
      return Math.fround(slopes[0] + slopes[1] * x + slopes[2] * y);
    });
  });
  return { ground, edge };
}

function leastSquares(rows, values) {
  const table = [0, 1, 2].map((a) => [
    ...[0, 1, 2].map((b) => rows.reduce((sum, row) => sum + row[a] * row[b], 0)),
    rows.reduce((sum, row, i) => sum + row[a] * values[i], 0),
  ]);
  for (let a = 0; a < 3; a++) {
    const pivot = table.slice(a).reduce((p, r) => (Math.abs(r[a]) > Math.abs(p[a]) ? r : p));
    const at = table.indexOf(pivot);
    [table[a], table[at]] = [table[at], table[a]];
    if (Math.abs(table[a][a]) < 1e-9) continue; // a line of pixels has no second slope
    for (let b = 0; b < 3; b++) {
      if (b === a) continue;
      const share = table[b][a] / table[a][a];
      table[b] = table[b].map((value, k) => value - share * table[a][k]);
    }
  }
  return table.map((row, a) => (Math.abs(row[a]) < 1e-9 ? 0 : row[3] / row[a]));
}

function blurred(levels, height, width, sigma) {
  const reach = Math.floor(4 * sigma + 0.5);
  const weights = [];
  for (let k = -reach; k <= reach; k++) weights.push(Math.exp((-0.5 * k * k) / (sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b);
  const mirrored = (i, n) => {
    const j = ((i % (2 * n)) + 2 * n) % (2 * n);
    return j < n ? j : 2 * n - 1 - j;
  };
  const along = (values, n, index) => Float64Array.from(values, (_, i) => {
    const [at, start, step] = index(i);
    let total = 0;
    for (let k = -reach; k <= reach; k++) {
      total += weights[k + reach] * values[start + step * mirrored(at + k, n)];
    }
    return Math.fround(total / sum);
  });
  const down = along(levels, height, (i) => [Math.floor(i / width), i % width, width]);
  return along(down, width, (i) => [i % width, i - (i % width), 1]);
}

// Returns where the object is, or null if there is only ground.
function objectOn(channels, ground, edge, height, width) {
  const sigma = Math.max(height, width) / 200;
  const parts = channels.map((levels, c) =>
    blurred(levels.map((level, i) => level - ground[c][i]), height, width, sigma));
  const away = parts[0].map((_, i) => Math.max(...parts.map((part) => Math.abs(part[i]))));
  const noise = quantile(edge.map((i) => away[i]), 0.95);
  const certain = Uint8Array.from(away, (d) => d > Math.max(CLOSE, 2 * noise));
  if (certain.reduce((a, b) => a + b, 0) < LEAST * certain.length) return null;
  const possible = Uint8Array.from(away, (d) => d > Math.max(FAINT, 1.5 * noise));
  const whole = fillHoles(propagate(certain, possible, height, width), height, width);
  return maskOf(withoutSpecks(partsOf(whole, height, width)), whole.length);
}
