// From ink on paper to an image like those of MNIST: shared_keras/photos/handwriting.py, for
// paper that is plain because it was drawn on here.

const SIDE = 28;
const FIT = 20;
const THINNEST = 2;
const SMALLEST = 1 / 50;
const REMAINS = 0.15;

// Returns 28 x 28 pixels for ink, 0...1, or null if there are no strokes.
function prepareInk(coverage, height, width) {
  const mask = propagate(above(coverage, 0.5), above(coverage, 0.25), height, width);
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
  const inside = parts.filter((part) => !part.some((i) => onBorder(i, height, width)));
  if (!inside.length) return parts;
  const enough = Math.max(
    SMALLEST * Math.max(height, width), REMAINS * longestOf(parts, height, width));
  return longestOf(inside, height, width) > enough ? inside : parts;
}

function fitInk(whole) {
  const ink = trimmed(whole);
  const box = ink && boxOf(ink.levels, ink.height, ink.width, 0.5);
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

// Cuts away what is without ink, but for a border of one pixel.
function trimmed({ levels, height, width }) {
  const box = boxOf(levels, height, width, 0);
  return box && cut(levels, width, {
    top: Math.max(box.top - 1, 0), bottom: Math.min(box.bottom + 1, height),
    left: Math.max(box.left - 1, 0), right: Math.min(box.right + 1, width),
  });
}

// Sharpens strokes, and thickens those of a thin pen.
function asScanned({ levels, height, width }, scale) {
  const mask = above(levels, 0.5);
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
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (level === 0) continue;
    const to = (Math.floor(i / width) + radius) * wide + (i % width) + radius;
    for (let k = 0; k < disk.length; k++) {
      if (result[to + disk[k]] < level) result[to + disk[k]] = level;
    }
  }
  return { levels: result, height: tall, width: wide };
}
