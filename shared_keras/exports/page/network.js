// The trained network: each step takes and returns numbers, channels last, as in Keras.

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function singles(text) {
  return new Float32Array(bytesOf(text).buffer);
}

function halves(text) {
  const halfs = new Uint16Array(bytesOf(text).buffer);
  return Float32Array.from(halfs, (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    let size;
    if (exponent === 0) size = fraction * 2 ** -24;
    else if (exponent === 31) size = fraction ? NaN : Infinity;
    else size = (1 + fraction / 1024) * 2 ** (exponent - 15);
    return half & 32768 ? -size : size;
  });
}

function erf(x) {
  // Abramowitz and Stegun 7.1.26; off by less than 2e-7
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t +
    0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  mish: (x) => (x > 20 ? x : x * Math.tanh(Math.log1p(Math.exp(x)))),
};

function softmax(x) {
  const highest = x.reduce((a, b) => Math.max(a, b));
  const powers = Float64Array.from(x, (value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b);
  return Float32Array.from(powers, (value) => value / sum);
}

function dense({ kernel, bias }, x) {
  const out = bias.slice();
  const n = out.length;
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue;
    const start = i * n;
    for (let o = 0; o < n; o++) out[o] += value * kernel[start + o];
  }
  return out;
}

function convolve({ kernel, bias, stride, size, pads, shape, out }, x) {
  const [height, width, channels] = shape;
  const [rows, columns, filters] = out;
  const result = new Float32Array(rows * columns * filters);
  const sums = new Float32Array(filters);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      sums.set(bias);
      for (let i = 0; i < size; i++) {
        const y = row * stride + i - pads[0];
        if (y < 0 || y >= height) continue;
        for (let j = 0; j < size; j++) {
          const left = column * stride + j - pads[1];
          if (left < 0 || left >= width) continue;
          const from = (y * width + left) * channels;
          for (let channel = 0; channel < channels; channel++) {
            const value = x[from + channel];
            if (value === 0) continue;
            const start = ((i * size + j) * channels + channel) * filters;
            for (let f = 0; f < filters; f++) sums[f] += value * kernel[start + f];
          }
        }
      }
      result.set(sums, (row * columns + column) * filters);
    }
  }
  return result;
}

function pool({ size, stride, shape, out }, x) {
  const [, width, channels] = shape;
  const [rows, columns] = out;
  const result = new Float32Array(rows * columns * channels).fill(-Infinity);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const to = (row * columns + column) * channels;
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          const from = ((row * stride + i) * width + column * stride + j) * channels;
          for (let channel = 0; channel < channels; channel++) {
            const value = x[from + channel];
            if (value > result[to + channel]) result[to + channel] = value;
          }
        }
      }
    }
  }
  return result;
}

const STEPS = {
  scale: ({ factor, offset }, x) => x.map((value) => factor * value + offset),
  channel: (_, x) => x,
  flatten: (_, x) => x,
  dense,
  conv: convolve,
  pool,
  norm: ({ factor, offset }, x) =>
    x.map((value, i) => factor[i % factor.length] * value + offset[i % factor.length]),
  activation: ({ name, slope }, x) =>
    name === "softmax" ? softmax(x) : x.map((value) => ACTIVATIONS[name](value, slope)),
};

class Network {
  constructor({ name, right, of, steps }) {
    Object.assign(this, { name, right, of });
    this.steps = steps.map((step) => {
      const arrays = {};
      if (step.kernel) arrays.kernel = halves(step.kernel);
      if (step.bias) arrays.bias = singles(step.bias);
      if (step.kind === "norm") {
        arrays.factor = singles(step.factor);
        arrays.offset = singles(step.offset);
      }
      return { ...step, ...arrays };
    });
  }

  // Returns the probability of each class for 28 x 28 pixels, 0...255.
  answer(pixels) {
    return this.steps.reduce((x, step) => STEPS[step.kind](step, x), Float32Array.from(pixels));
  }
}
