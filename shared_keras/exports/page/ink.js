// From a photo of handwriting to its ink: shared_keras/photos/handwriting.py, step by step.

const SEARCH = 256;
const QUANTILES = 1001;
const WIDEST = 0.4;
const DARK = 24;
const FAINTEST = 0.12;
const CLEAR = 6;

// Returns 28 x 28 pixels, or null if there are no strokes.
function prepareHandwriting(photo) {
  const small = shrink(photo, SEARCH);
  const found = inkOf(small);
  if (!found) return null;
  const closer = shrink(cutAround(photo, found), SEARCH); // a character may be small in its photo
  return fitInk(inkOf(closer) ?? found);
}

// Cuts out of a photo what the ink of the smaller photo covers, with half of its size around it.
function cutAround({ channels, height, width }, ink) {
  const ratio = Math.max(height, width) / Math.max(ink.height, ink.width);
  const box = boxOf(ink.levels, ink.height, ink.width, 0.5);
  const margin = 0.5 * Math.max(box.bottom - box.top, box.right - box.left);
  const first = (start) => Math.max(0, Math.trunc((start - margin) * ratio));
  const last = (end, most) => Math.min(most, Math.ceil((end + margin) * ratio));
  const place = {
    top: first(box.top), bottom: last(box.bottom, height),
    left: first(box.left), right: last(box.right, width),
  };
  const parts = channels.map((levels) => cut(levels, width, place));
  return { ...parts[0], channels: parts.map(({ levels }) => levels) };
}

// Returns how far ink covers each pixel, 0...1, or null if there are no strokes.
function inkOf({ channels, height, width }) {
  const mask = strokesOf(channels, height, width);
  if (!mask) return null;
  const side = Math.max(height, width);
  const near = dilate(mask, height, width, 1 + (side >> 6));
  // The paper below the ink is as bright and as shadowed as the nearest paper beside it.
  const nearest = nearestOutside(near, height, width);
  const contrast = channels.map((levels) => {
    const beside = Float32Array.from(nearest, (from) => levels[from]);
    const paper = blurred(beside, height, width, side / 64);
    return paper.map((level, i) => (levels[i] - level) / (level + DARK));
  });
  const strongest = contrast[0].map((_, i) => Math.hypot(...contrast.map((values) => values[i])));
  const pixels = indicesOf(mask);
  const middle = quantile(pixels.map((i) => strongest[i]), 0.5);
  const core = pixels.filter((i) => strongest[i] >= middle);
  const ink = contrast.map((values) => quantile(core.map((i) => values[i]), 0.5));
  const square = Math.max(dot(ink, ink), 1e-9);
  const levels = Float64Array.from(near, (yes, i) =>
    yes && Math.min(Math.max(dot(ink, contrast.map((values) => values[i])) / square, 0), 1));
  return levels.some((level) => level > 0.5) ? { levels, height, width } : null;
}

function indicesOf(mask) {
  const found = [];
  mask.forEach((yes, i) => { if (yes) found.push(i); });
  return found;
}

function dot(one, two) {
  return one.reduce((sum, value, i) => sum + value * two[i], 0);
}

// Returns where ink is, or null for a blank page.
function strokesOf(channels, height, width) {
  const side = Math.max(height, width);
  const colours = channels.map((levels) =>
    blurred(levels, height, width, side / 200)
      .map((level) => Math.log(Math.fround(level + DARK))));
  // Ink is what stands out from its surroundings, in one direction of colour.
  const detail = colours.map((levels) => {
    const means = meansOver(levels, height, width, side >> 1);
    return levels.map((level, i) => level - means[i]);
  });
  const direction = mainDirection(detail);
  const along = (values) => values[0].map((_, i) =>
    direction[0] * values[0][i] + direction[1] * values[1][i] + direction[2] * values[2][i]);
  const skew = along(detail).reduce((sum, value) => sum + value ** 3, 0);
  const levels = along(colours).map((level) => (skew > 0 ? level : -level));
  const mask = higher(levels, height, width, Math.trunc(WIDEST * side));
  if (!mask) return null;
  // The edge of a shadow stands out, too, but less so the narrower strokes may be.
  const stroke = 2 * distances(mask, height, width).reduce((a, b) => Math.max(a, b));
  return higher(levels, height, width, Math.trunc(1.5 * stroke) + 3);
}

// Returns the direction of three values in which they vary most, as a vector of length 1: the
// eigenvector of the largest eigenvalue, by Jacobi's rotations.
function mainDirection(values) {
  const table = values.map((one) => values.map((two) => dot(one, two)));
  const vectors = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  for (let round = 0; round < 30; round++) {
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
      const angle = 0.5 * Math.atan2(2 * table[p][q], table[q][q] - table[p][p]);
      const turn = (row) => {
        const [a, b] = [row[p], row[q]];
        row[p] = Math.cos(angle) * a - Math.sin(angle) * b;
        row[q] = Math.sin(angle) * a + Math.cos(angle) * b;
      };
      table.forEach(turn);
      const [one, two] = [table[p].slice(), table[q].slice()];
      one.forEach((a, k) => {
        table[p][k] = Math.cos(angle) * a - Math.sin(angle) * two[k];
        table[q][k] = Math.sin(angle) * a + Math.cos(angle) * two[k];
      });
      vectors.forEach(turn);
    }
  }
  const sizes = [0, 1, 2].map((k) => table[k][k]);
  const largest = sizes.indexOf(Math.max(...sizes));
  return vectors.map((row) => row[largest]);
}

// Returns what is far higher than all around and narrower than `widest` pixels, or null.
function higher(levels, height, width, widest) {
  const ground = withoutNarrow(levels, height, width, widest);
  const heights = levels.map((level, i) => level - ground[i]);
  const sorted = Float64Array.from(heights).sort();
  const values = Float64Array.from({ length: QUANTILES }, (_, k) =>
    quantileOf(sorted, k / (QUANTILES - 1)));
  if (values[QUANTILES - 1] - values[0] < FAINTEST) return null;
  const { paper, ink, noise } = paperAndInk(values);
  if (ink - paper < Math.max(FAINTEST, CLEAR * noise)) return null;
  const least = paper + Math.max((ink - paper) / 4, 3 * noise);
  const mask = propagate(above(heights, (paper + ink) / 2), above(heights, least), height, width);
  const parts = withoutSpecks(insideOf(partsOf(mask, height, width), height, width));
  const large = longestOf(parts, height, width) > SMALLEST * Math.max(height, width);
  return large ? maskOf(parts, mask.length) : null;
}

// Levels what is narrower than `widest` pixels; slopes and edges go on beyond the border.
function withoutNarrow(levels, height, width, widest) {
  const [tall, wide] = [height, width].map((n) => Math.min(widest >> 1, n - 1));
  const stretched = beyond(levels, height, width, tall, wide);
  const columns = width + 2 * wide;
  const level = opened(stretched, height + 2 * tall, columns, widest);
  return levels.map((_, i) =>
    level[(Math.floor(i / width) + tall) * columns + (i % width) + wide]);
}

// Continues levels beyond the border, turned about it.
function beyond(levels, height, width, tall, wide) {
  const columns = width + 2 * wide;
  const turned = (get, i, n) => {
    if (i < 0) return 2 * get(0) - get(-i);
    return i < n ? get(i) : 2 * get(n - 1) - get(2 * (n - 1) - i);
  };
  const result = new Float32Array((height + 2 * tall) * columns);
  for (let v = 0; v < height + 2 * tall; v++) {
    const at = (x) => turned((y) => levels[y * width + x], v - tall, height);
    for (let u = 0; u < columns; u++) result[v * columns + u] = turned(at, u - wide, width);
  }
  return result;
}

// Tells the levels of paper from those of ink, as SciPy's kmeans2 does from the median and the
// highest; returns both means, and the standard deviation of the paper's.
function paperAndInk(values) {
  let paper = quantileOf(values, 0.5), ink = values[values.length - 1];
  let ofPaper = values;
  for (let round = 0; round < 20; round++) {
    ofPaper = values.filter((value) => Math.abs(value - paper) <= Math.abs(value - ink));
    const ofInk = values.filter((value) => Math.abs(value - paper) > Math.abs(value - ink));
    if (ofPaper.length) paper = meanOf(ofPaper);
    if (ofInk.length) ink = meanOf(ofInk);
  }
  const middle = meanOf(ofPaper);
  return { paper, ink, noise: Math.sqrt(meanOf(ofPaper.map((value) => (value - middle) ** 2))) };
}

function meanOf(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
