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

const BLOCK = 8; // outputs that are summed up at a time, in registers

// A product of numbers with a kernel (inputs, outputs). Zeros are left out, of which a ReLU makes
// many. It computes in 64 bits: browsers would convert each number of 32.
class Product {
  constructor({ kernel, bias }) {
    this.outputs = bias.length;
    this.inputs = kernel.length / this.outputs;
    this.blocks = Math.ceil(this.outputs / BLOCK);
    this.kernel = new Float64Array(this.blocks * this.inputs * BLOCK); // block by block
    for (let i = 0; i < this.inputs; i++) {
      for (let o = 0; o < this.outputs; o++) {
        const block = Math.floor(o / BLOCK);
        this.kernel[(block * this.inputs + i) * BLOCK + (o % BLOCK)] = kernel[i * this.outputs + o];
      }
    }
    this.bias = new Float64Array(this.blocks * BLOCK);
    this.bias.set(bias);
    this.values = new Float64Array(this.inputs);
    this.places = new Int32Array(this.inputs); // in the kernel
    this.sums = new Float64Array(this.blocks * BLOCK);
    this.count = 0;
  }

  // Takes numbers `from` up to `end` of an array as the inputs `first`, `first` + 1 and so on.
  take(x, from, end, first) {
    const { values, places } = this;
    let count = this.count;
    for (let i = from, place = first * BLOCK; i < end; i++, place += BLOCK) {
      const value = x[i];
      if (value === 0) continue;
      values[count] = value;
      places[count] = place;
      count += 1;
    }
    this.count = count;
  }

  // Writes what was taken, times the kernel, plus the bias.
  put(result, to) {
    const { kernel, bias, values, places, sums, count } = this;
    const wide = this.inputs * BLOCK;
    for (let block = 0; block < this.blocks; block++) {
      const start = block * wide;
      const o = block * BLOCK;
      let a = bias[o], b = bias[o + 1], c = bias[o + 2], d = bias[o + 3];
      let e = bias[o + 4], f = bias[o + 5], g = bias[o + 6], h = bias[o + 7];
      for (let n = 0; n < count; n++) {
        const value = values[n];
        const k = start + places[n];
        a += value * kernel[k];
        b += value * kernel[k + 1];
        c += value * kernel[k + 2];
        d += value * kernel[k + 3];
        e += value * kernel[k + 4];
        f += value * kernel[k + 5];
        g += value * kernel[k + 6];
        h += value * kernel[k + 7];
      }
      sums[o] = a; sums[o + 1] = b; sums[o + 2] = c; sums[o + 3] = d;
      sums[o + 4] = e; sums[o + 5] = f; sums[o + 6] = g; sums[o + 7] = h;
    }
    for (let o = 0; o < this.outputs; o++) result[to + o] = sums[o];
    this.count = 0;
  }
}

function dense({ product, result }, x) {
  product.take(x, 0, x.length, 0);
  product.put(result, 0);
  return result;
}

function convolve({ product, result, stride, size, pads, shape, out }, x) {
  const [height, width, channels] = shape;
  const [rows, columns, filters] = out;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const left = column * stride - pads[1];
      const from = Math.max(left, 0);
      const end = Math.min(left + size, width);
      for (let i = 0; i < size; i++) {
        const y = row * stride + i - pads[0];
        if (y < 0 || y >= height) continue;
        const start = y * width;
        product.take(x, (start + from) * channels, (start + end) * channels,
          (i * size + from - left) * channels);
      }
      product.put(result, (row * columns + column) * filters);
    }
  }
  return result;
}

function pool({ result, size, stride, shape, out }, x) {
  const [, width, channels] = shape;
  const [rows, columns] = out;
  result.fill(-Infinity);
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

function scale({ factor, offset }, x) {
  for (let i = 0; i < x.length; i++) x[i] = factor * x[i] + offset;
  return x;
}

function normalize({ factor, offset }, x) {
  const n = factor.length;
  for (let start = 0; start < x.length; start += n) {
    for (let i = 0; i < n; i++) x[start + i] = factor[i] * x[start + i] + offset[i];
  }
  return x;
}

function activate({ name, slope }, x) {
  if (name === "softmax") return softmax(x);
  const activation = ACTIVATIONS[name];
  for (let i = 0; i < x.length; i++) x[i] = activation(x[i], slope);
  return x;
}

const same = (_, x) => x;
const STEPS = {
  scale, channel: same, flatten: same, dense, conv: convolve, pool, norm: normalize,
  activation: activate,
};

class Network {
  constructor({ name, right, of, steps }) {
    Object.assign(this, { name, right, of, input: new Float32Array(SIDE * SIDE) });
    this.steps = steps.map((step) => ({ ...step, ...arraysOf(step) }));
  }

  // Returns the probability of each class for 28 x 28 pixels, 0...255.
  answer(pixels) {
    return this.run(this.steps, pixels).slice();
  }

  run(steps, pixels) {
    this.input.set(pixels);
    return through(steps, this.input);
  }

  // Returns how sure the network is of a class: the logarithm of p / (1 - p).
  oddsOf(one, pixels) {
    const scores = this.steps.at(-1).name === "softmax"
      ? this.run(this.steps.slice(0, -1), pixels)
      : this.answer(pixels).map(Math.log);
    const others = scores.filter((_, i) => i !== one);
    const highest = Math.max(...others);
    const sum = others.reduce((total, score) => total + Math.exp(score - highest), 0);
    return scores[one] - highest - Math.log(sum);
  }
}

// Returns what steps make of numbers. Between "mirrored" and "mean" these are one image at a time.
function through(steps, x) {
  const start = steps.findIndex(({ kind }) => kind === "mirrored");
  if (start < 0) return steps.reduce((now, step) => STEPS[step.kind](step, now), x);
  const end = steps.findIndex(({ kind }) => kind === "mean");
  const image = through(steps.slice(0, start), x).slice();
  const mirrored = image.map((_, i) => image[i - (i % SIDE) + SIDE - 1 - (i % SIDE)]);
  const [one, other] = [image, mirrored].map((each) => (
    through(steps.slice(start + 1, end), each).slice()
  ));
  return through(steps.slice(end + 1), one.map((value, i) => (value + other[i]) / 2));
}

// Returns what a step needs, and where it writes its result: no prediction allocates anything large.
function arraysOf({ kind, kernel, bias, factor, offset, out }) {
  if (kind === "norm") return { factor: singles(factor), offset: singles(offset) };
  if (kind === "pool") return { result: new Float32Array(out[0] * out[1] * out[2]) };
  if (!kernel) return {};
  const product = new Product({ kernel: halves(kernel), bias: singles(bias) });
  const places = kind === "conv" ? out[0] * out[1] : 1;
  return { product, result: new Float32Array(places * product.outputs) };
}
