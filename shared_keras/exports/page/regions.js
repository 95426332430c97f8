// Regions of a mask, a Uint8Array of height x width.

// Returns where values are above a level.
function above(values, level) {
  const mask = new Uint8Array(values.length);
  for (let i = 0; i < mask.length; i++) mask[i] = values[i] > level ? 1 : 0;
  return mask;
}

function boxOf(values, height, width, level) {
  let top = height, left = width, bottom = 0, right = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(values[y * width + x] > level)) continue;
      if (y < top) top = y;
      if (y >= bottom) bottom = y + 1;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
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

function onBorder(i, height, width) {
  const x = i % width;
  return x === 0 || x === width - 1 || i < width || i >= (height - 1) * width;
}

// Appends to `found` all that is reached over `open` pixels from those that lie there, from `start`
// up to `end`; closes them, and returns the new end.
function spread(found, start, end, open, height, width, diagonal) {
  for (let n = start; n < end; n++) {
    const x = found[n] % width;
    const y = (found[n] - x) / width;
    for (let v = Math.max(y - 1, 0); v <= y + 1 && v < height; v++) {
      for (let u = Math.max(x - 1, 0); u <= x + 1 && u < width; u++) {
        const near = v * width + u;
        if (!open[near] || (!diagonal && u !== x && v !== y)) continue;
        open[near] = 0;
        found[end] = near;
        end += 1;
      }
    }
  }
  return end;
}

// Returns the connected parts of a mask: for each, its pixels.
function partsOf(mask, height, width) {
  const open = mask.slice();
  const found = new Int32Array(mask.length);
  const parts = [];
  let start = 0;
  for (let i = 0; i < mask.length; i++) {
    if (!open[i]) continue;
    open[i] = 0;
    found[start] = i;
    const end = spread(found, start, start + 1, open, height, width, true);
    parts.push(found.subarray(start, end));
    start = end;
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

// Returns what is reached from the pixels of `starts` over those of `possible`.
function propagate(starts, possible, height, width) {
  const open = possible.slice();
  const found = new Int32Array(possible.length);
  let end = 0;
  for (let i = 0; i < open.length; i++) {
    if (!starts[i] || !open[i]) continue;
    open[i] = 0;
    found[end] = i;
    end += 1;
  }
  spread(found, 0, end, open, height, width, false);
  for (let i = 0; i < open.length; i++) open[i] = possible[i] - open[i];
  return open;
}

function fillHoles(mask, height, width) {
  const ground = mask.map((inside) => 1 - inside);
  const border = mask.map((_, i) => (onBorder(i, height, width) ? 1 : 0));
  return propagate(border, ground, height, width).map((outside) => 1 - outside);
}

// Returns what is at most so many steps, down, up, left or right, from a mask.
function dilate(mask, height, width, steps) {
  const away = new Int32Array(mask.length);
  const far = height + width;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) away[i] = 1 + Math.min(x ? away[i - 1] : far, y ? away[i - width] : far);
    }
  }
  for (let y = height - 1, i = mask.length - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--, i--) {
      const right = x < width - 1 ? away[i + 1] : far;
      const down = y < height - 1 ? away[i + width] : far;
      away[i] = Math.min(away[i], right + 1, down + 1);
    }
  }
  return mask.map((_, i) => (away[i] <= steps ? 1 : 0));
}

// Finds for each pixel the nearest one that is not in the mask: if several are as near, the one that
// SciPy's distance_transform_edt finds. Returns its index, or -1 where there is none.
function nearestOutside(mask, height, width) {
  const rows = new Int32Array(mask.length);
  const columns = new Int32Array(mask.length);
  for (let i = 0; i < mask.length; i++) {
    columns[i] = i % width;
    rows[i] = mask[i] ? -1 : (i - columns[i]) / width;
  }
  const scratch = [0, 1, 2].map(() => new Int32Array(Math.max(height, width)));
  for (let x = 0; x < width; x++) alongLine(rows, columns, x, width, height, x, scratch);
  for (let y = 0; y < height; y++) alongLine(columns, rows, y * width, 1, width, y, scratch);
  for (let i = 0; i < mask.length; i++) if (rows[i] >= 0) rows[i] = rows[i] * width + columns[i];
  return rows;
}

// One line of it, which lies at `at`: `along` has, in the line's direction, the places of the nearest
// pixels so far, `across` those in the other direction.
function alongLine(along, across, start, step, length, at, [nearest, places, squares]) {
  let last = -1; // of those that are nearest somewhere on the line
  for (let n = 0, i = start; n < length; n++, i += step) {
    const place = along[i];
    if (place < 0 || across[i] < 0) continue;
    const square = (across[i] - at) ** 2;
    while (last >= 1) {
      const a = places[last] - places[last - 1];
      const b = place - places[last];
      const c = a + b;
      if (c * squares[last] - b * squares[last - 1] - a * square - a * b * c <= 0) break;
      last -= 1;
    }
    last += 1;
    nearest[last] = across[i];
    places[last] = place;
    squares[last] = square;
  }
  if (last < 0) return;
  for (let n = 0, l = 0, i = start; n < length; n++, i += step) {
    let square = (places[l] - n) ** 2 + squares[l];
    while (l < last) {
      const next = (places[l + 1] - n) ** 2 + squares[l + 1];
      if (square <= next) break;
      square = next;
      l += 1;
    }
    along[i] = places[l];
    across[i] = nearest[l];
  }
}

// Returns each pixel's distance from the nearest one that is not in the mask.
function distances(mask, height, width) {
  const nearest = nearestOutside(mask, height, width);
  const result = new Float64Array(mask.length);
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const column = nearest[i] % width;
    const x = (i % width) - column;
    const y = (i - (i % width) - nearest[i] + column) / width;
    result[i] = nearest[i] < 0 ? height + width : Math.sqrt(x * x + y * y);
  }
  return result;
}
