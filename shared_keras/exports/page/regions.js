// Regions of a mask, a Uint8Array of height x width.

function boxOf(values, height, width, above) {
  let top = height, left = width, bottom = 0, right = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(values[y * width + x] > above)) continue;
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
    }
  }
  return bottom ? { top, left, bottom, right } : null;
}

function cut(levels, width, { top, left, bottom, right }) {
  const part = new Float64Array((bottom - top) * (right - left));
  for (let y = top; y < bottom; y++) {
    part.set(levels.subarray(y * width + left, y * width + right), (y - top) * (right - left));
  }
  return { levels: part, height: bottom - top, width: right - left };
}

// Calls `visit` for all pixels reached from the given ones; `visit` says whether to go on there.
function flood(starts, height, width, diagonal, visit) {
  const waiting = starts.filter(visit);
  while (waiting.length) {
    const i = waiting.pop();
    const x = i % width;
    const y = (i - x) / width;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        if (!diagonal && dx && dy) continue;
        const near = i + dy * width + dx;
        const inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width;
        if (inside && visit(near)) waiting.push(near);
      }
    }
  }
}

// Returns the connected parts of a mask: for each, its pixels.
function partsOf(mask, height, width) {
  const seen = new Uint8Array(mask.length);
  const parts = [];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i] || seen[i]) continue;
    const part = [];
    flood([i], height, width, true, (j) => {
      if (!mask[j] || seen[j]) return false;
      seen[j] = 1;
      part.push(j);
      return true;
    });
    parts.push(part);
  }
  return parts;
}

function maskOf(parts, length) {
  const mask = new Uint8Array(length);
  for (const part of parts) for (const i of part) mask[i] = 1;
  return mask;
}

const SPECK = 0.05; // of the largest part's area; what is smaller is dirt

function withoutSpecks(parts) {
  const largest = parts.reduce((most, part) => Math.max(most, part.length), 0);
  return parts.filter((part) => part.length >= SPECK * largest);
}

// Returns what is reached from `certain` pixels over `possible` ones.
function propagate(certain, possible, height, width) {
  const reached = new Uint8Array(certain.length);
  const starts = [];
  certain.forEach((yes, i) => yes && starts.push(i));
  flood(starts, height, width, false, (i) => {
    if (reached[i] || !possible[i]) return false;
    reached[i] = 1;
    return true;
  });
  return reached;
}

function fillHoles(mask, height, width) {
  const outside = new Uint8Array(mask.length);
  const border = [];
  for (let i = 0; i < mask.length; i++) {
    const x = i % width;
    if (x === 0 || x === width - 1 || i < width || i >= mask.length - width) border.push(i);
  }
  flood(border, height, width, false, (i) => {
    if (outside[i] || mask[i]) return false;
    outside[i] = 1;
    return true;
  });
  return outside.map((out) => 1 - out);
}
