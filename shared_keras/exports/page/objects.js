// From a photo of one object to an image like those of Fashion-MNIST: shared_keras/photos/objects.py.

const CLOSE = 0.05 * 255;
const FAINT = 3;
const SHADE = 3 * CLOSE;
const LEAST = 1 / 1000;

// Returns 28 x 28 pixels, or null if nothing stands out from its ground.
function prepareObject(photo) {
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

// Returns where the object is, or null if there is only ground.
function objectOn(channels, ground, edge, height, width) {
  const sigma = Math.max(height, width) / 200;
  const parts = channels.map((levels, c) =>
    blurred(levels.map((level, i) => level - ground[c][i]), height, width, sigma));
  const away = parts[0].map((_, i) => Math.max(...parts.map((part) => Math.abs(part[i]))));
  const noise = quantile(edge.map((i) => away[i]), 0.95);
  const certain = above(away, Math.max(CLOSE, 2 * noise));
  if (certain.reduce((a, b) => a + b, 0) < LEAST * certain.length) return null;
  const possible = above(away, Math.max(FAINT, 1.5 * noise));
  const whole = fillHoles(propagate(certain, possible, height, width), height, width);
  return maskOf(withoutSpecks(partsOf(whole, height, width)), whole.length);
}
