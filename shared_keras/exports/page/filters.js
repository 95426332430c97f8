// SciPy's filters of levels, height x width. Beyond the border, levels are mirrored.

function mirrored(i, n) {
  const j = ((i % (2 * n)) + 2 * n) % (2 * n);
  return j < n ? j : 2 * n - 1 - j;
}

// Filters lines, first down, then across. `along` gets a line with `before` and `after` more levels
// at its ends, writes as many as the line has, and is called for each line.
function filtered(levels, height, width, before, after, along) {
  let values = levels;
  for (const [length, step, lines, next] of [[height, width, width, 1], [width, 1, height, width]]) {
    const result = new Float32Array(values.length);
    const line = new Float64Array(before + length + after);
    const out = new Float64Array(length);
    const places = Int32Array.from(line, (_, k) => step * mirrored(k - before, length));
    for (let start = 0, n = 0; n < lines; n++, start += next) {
      for (let k = 0; k < line.length; k++) line[k] = values[start + places[k]];
      along(line, out);
      for (let k = 0; k < length; k++) result[start + k * step] = out[k];
    }
    values = result;
  }
  return values;
}

function blurred(levels, height, width, sigma) {
  const reach = Math.floor(4 * sigma + 0.5);
  const weights = new Float64Array(2 * reach + 1).map((_, k) =>
    Math.exp((-0.5 * (k - reach) ** 2) / (sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b);
  return filtered(levels, height, width, reach, reach, (line, out) => {
    for (let i = 0; i < out.length; i++) {
      let total = 0;
      for (let k = 0; k < weights.length; k++) total += weights[k] * line[i + k];
      out[i] = total / sum;
    }
  });
}

// Means over squares of `size` pixels a side.
function meansOver(levels, height, width, size) {
  if (size < 2) return levels;
  const before = size >> 1;
  return filtered(levels, height, width, before, size - before - 1, (line, out) => {
    let sum = 0;
    for (let k = 0; k < size - 1; k++) sum += line[k];
    for (let i = 0; i < out.length; i++) {
      sum += line[i + size - 1];
      out[i] = sum / size;
      sum -= line[i];
    }
  });
}

// The lowest level in squares of `size` pixels a side, and of these the highest: what is light and
// narrower is gone.
function opened(levels, height, width, size) {
  if (size < 2) return levels;
  const before = size >> 1;
  const after = size - before - 1;
  const lowest = filtered(levels, height, width, before, after, (line, out) =>
    extremes(line, out, size, -1));
  return filtered(lowest, height, width, after, before, (line, out) =>
    extremes(line, out, size, 1));
}

// The highest of `size` levels, times `sign`, for each place in a line.
function extremes(line, out, size, sign) {
  const waiting = new Int32Array(line.length); // places of levels that may be the highest yet
  let first = 0, end = 0;
  for (let k = 0; k < line.length; k++) {
    while (end > first && sign * line[waiting[end - 1]] <= sign * line[k]) end -= 1;
    waiting[end] = k;
    end += 1;
    if (waiting[first] <= k - size) first += 1;
    if (k >= size - 1) out[k - size + 1] = line[waiting[first]];
  }
}

// As NumPy has it: between two values, it interpolates.
function quantile(values, q) {
  return quantileOf(Float64Array.from(values).sort(), q);
}

function quantileOf(sorted, q) {
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}
