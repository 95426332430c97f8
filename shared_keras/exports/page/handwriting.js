// From ink on paper to an image like those of MNIST: shared_keras/photos/handwriting.py, for
// paper that is plain because it was drawn on here.

const SIDE = 28;
const FIT = 20;
const THINNEST = 2;
const SMALLEST = 1 / 50;
const REMAINS = 0.15;

// Returns 28 x 28 pixels for ink, 0...1, or null if there are no strokes.
function prepareInk(coverage, height, width) {
  const certain = Uint8Array.from(coverage, (c) => c > 0.5);
  const possible = Uint8Array.from(coverage, (c) => c > 0.25);
  const mask = propagate(certain, possible, height, width);
  const parts = withoutSpecks(insideOf(partsOf(mask, height, width), height, width));
  if (!parts.length) return null;
  if (longestOf(parts, height, width) <= SMALLEST * Math.max(height, width)) return null;
  const near = dilate(maskOf(parts, mask.length), height, width, 1 + (Math.max(height, width) >> 6));
  return fitInk({ levels: coverage.map((c, i) => c * near[i]), height, width });
}

function longestOf(parts, height, width) {
  const box = boxOf(maskOf(parts, height * width), height, width, 0);
  return Math.max(box.bottom - box.top, box.right - box.left);
}

// Drops parts that run out of the paper, if large ones remain.
function insideOf(parts, height, width) {
  const touches = (i) =>
    i < width || i >= (height - 1) * width || i % width === 0 || i % width === width - 1;
  const inside = parts.filter((part) => !part.some(touches));
  if (!inside.length) return parts;
  const enough = Math.max(
    SMALLEST * Math.max(height, width), REMAINS * longestOf(parts, height, width));
  return longestOf(inside, height, width) > enough ? inside : parts;
}

function dilate(mask, height, width, times) {
  let grown = mask;
  for (let n = 0; n < times; n++) {
    grown = grown.map((yes, i) => {
      const x = i % width;
      return yes || (x && grown[i - 1]) || (x < width - 1 && grown[i + 1]) ||
        (i >= width && grown[i - width]) || (i < mask.length - width && grown[i + width]) ? 1 : 0;
    });
  }
  return grown;
}

function fitInk(ink) {
  const box = boxOf(ink.levels, ink.height, ink.width, 0.5);
  if (!box) return null;
  const scale = Math.max(box.bottom - box.top, box.right - box.left) / FIT;
  const { levels, height, width } = scale > 1 ? asScanned(ink, scale) : ink;
  const fitted = resizeLevels(cut(levels, width, boxOf(levels, height, width, 0.02)), FIT);
  const highest = fitted.levels.reduce((a, b) => Math.max(a, b));
  const values = fitted.levels.map((level) => Math.min(Math.max(level / highest, 0), 1));
  let sum = 0, down = 0, right = 0;
  values.forEach((value, i) => {
    sum += value;
    down += value * Math.floor(i / fitted.width);
    right += value * (i % fitted.width);
  });
  const place = (centre, length) =>
    Math.min(Math.max(roundEven(SIDE / 2 - centre), 0), SIDE - length);
  const top = place(down / sum, fitted.height);
  const left = place(right / sum, fitted.width);
  const image = new Uint8Array(SIDE * SIDE);
  values.forEach((value, i) => {
    const y = top + Math.floor(i / fitted.width);
    image[y * SIDE + left + (i % fitted.width)] = roundEven(255 * value);
  });
  return image;
}

// Sharpens strokes, and thickens those of a thin pen.
function asScanned({ levels, height, width }, scale) {
  const mask = Uint8Array.from(levels, (level) => level > 0.5);
  const away = distances(mask, height, width);
  let sum = 0, count = 0;
  mask.forEach((yes, i) => {
    if (!yes) return;
    sum += away[i];
    count += 1;
  });
  const missing = (THINNEST * scale - (4 * sum) / count) / 2;
  const thick = missing >= 1 ? thickened({ levels, height, width }, Math.floor(missing))
    : { levels, height, width };
  const sharp = thick.levels.map((c) => Math.min(Math.max(0.5 + (c - 0.5) * scale, 0), 1));
  return { ...thick, levels: sharp };
}

// Returns each pixel's distance from the nearest pixel that is not in the mask.
function distances(mask, height, width) {
  const far = height + width;
  const above = new Float64Array(mask.length);
  for (let x = 0; x < width; x++) {
    for (let y = 0, d = far; y < height; y++) {
      d = mask[y * width + x] ? d + 1 : 0;
      above[y * width + x] = d;
    }
    for (let y = height - 1, d = far; y >= 0; y--) {
      d = mask[y * width + x] ? d + 1 : 0;
      above[y * width + x] = Math.min(above[y * width + x], d);
    }
  }
  return above.map((d, i) => {
    if (!mask[i]) return 0;
    const x = i % width;
    let best = d * d;
    for (let step = 1; step * step < best; step++) {
      if (x >= step) best = Math.min(best, step * step + above[i - step] ** 2);
      if (x + step < width) best = Math.min(best, step * step + above[i + step] ** 2);
    }
    return Math.sqrt(best);
  });
}

function thickened({ levels, height, width }, radius) {
  const tall = height + 2 * radius;
  const wide = width + 2 * radius;
  const result = new Float64Array(tall * wide);
  const disk = [];
  for (let y = -radius; y <= radius; y++) {
    for (let x = -radius; x <= radius; x++) {
      if (x * x + y * y <= radius * radius) disk.push(y * wide + x);
    }
  }
  levels.forEach((level, i) => {
    if (level === 0) return;
    const to = (Math.floor(i / width) + radius) * wide + (i % width) + radius;
    for (const step of disk) if (result[to + step] < level) result[to + step] = level;
  });
  return { levels: result, height: tall, width: wide };
}
