// Resizing as Pillow does it: each pixel is a weighted mean of those below it.

const BOX = { reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const BICUBIC = {
  reach: 2,
  weight: (x) => {
    const d = Math.abs(x);
    if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
    return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
  },
};

const BYTES = { ...BOX, unit: 2 ** -22 }; // of the weights of bytes: Pillow rounds them

function weightsOf(from, to, filter) {
  const scale = from / to;
  const wide = Math.max(scale, 1);
  const reach = filter.reach * wide;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(from, Math.trunc(centre + reach + 0.5));
    const weights = [];
    for (let x = first; x < last; x++) weights.push(filter.weight((x - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    const { unit } = filter;
    const rounded = (weight) => (unit ? Math.floor(weight / unit + 0.5) * unit : weight);
    return { first, weights: weights.map((weight) => rounded(weight / sum)) };
  });
}

// Resizes one channel, first along rows, then along columns; `store` rounds what is kept.
function resizeChannel(levels, height, width, toHeight, toWidth, filter, store) {
  let rows = levels;
  if (toWidth !== width) {
    rows = new Float64Array(height * toWidth);
    weightsOf(width, toWidth, filter).forEach(({ first, weights }, x) => {
      for (let y = 0; y < height; y++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * levels[y * width + first + k];
        rows[y * toWidth + x] = store(sum);
      }
    });
  }
  if (toHeight === height) return rows;
  const result = new Float64Array(toHeight * toWidth);
  weightsOf(height, toHeight, filter).forEach(({ first, weights }, y) => {
    for (let x = 0; x < toWidth; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * rows[(first + k) * toWidth + x];
      result[y * toWidth + x] = store(sum);
    }
  });
  return result;
}

function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

function sizeWithin(height, width, side) {
  const longest = Math.max(height, width);
  return [height, width].map((length) => Math.max(1, roundEven((length * side) / longest)));
}

// Resizes levels so that the longer side has `side` pixels.
function resizeLevels({ levels, height, width }, side) {
  const [toHeight, toWidth] = sizeWithin(height, width, side);
  const filter = Math.max(height, width) > side ? BOX : BICUBIC;
  const resized = resizeChannel(levels, height, width, toHeight, toWidth, filter, Math.fround);
  return { levels: resized, height: toHeight, width: toWidth };
}

// Averages a photo, three channels of bytes, down to at most `side` pixels a side.
function shrink(photo, side) {
  const { height, width } = photo;
  if (Math.max(height, width) <= side) return photo;
  const [toHeight, toWidth] = sizeWithin(height, width, side);
  const channels = photo.channels.map((levels) =>
    resizeChannel(levels, height, width, toHeight, toWidth, BYTES, (sum) => Math.floor(sum + 0.5)));
  return { channels, height: toHeight, width: toWidth };
}
