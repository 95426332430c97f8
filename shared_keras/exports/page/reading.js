// What a photo becomes before it is looked at: shared_keras/photos/reading.py.

const LARGE = 28 * 64;
const PLAIN = 8;
const WHITE = 200;

function luminance(channels, i) {
  return 0.299 * channels[0][i] + 0.587 * channels[1][i] + 0.114 * channels[2][i];
}

// Takes the bytes of a canvas; puts what is transparent on white, or a white drawing on black.
function photoOf({ data, width, height }) {
  const n = width * height;
  let opaque = 0, shown = 0;
  const colours = [0, 1, 2].map((c) => new Float32Array(n).map((_, i) => data[4 * i + c]));
  for (let i = 0; i < n; i++) {
    opaque += data[4 * i + 3];
    shown += Math.floor(luminance(colours, i) + 0.5) * data[4 * i + 3];
  }
  if (opaque < 255 * n) {
    const ground = shown / Math.max(opaque, 1) > WHITE ? 0 : 255;
    for (const channel of colours) {
      for (let i = 0; i < n; i++) {
        const alpha = data[4 * i + 3] / 255;
        channel[i] = Math.round(channel[i] * alpha + ground * (1 - alpha));
      }
    }
  }
  return shrink({ channels: colours, height, width }, LARGE);
}

// Returns a grey image of 28 x 28 pixels on plain black or white, light on dark, or null.
function asItIs({ channels, height, width }) {
  const [grey, green, blue] = channels;
  if (height !== SIDE || width !== SIDE) return null;
  if (grey.some((level, i) => level !== green[i] || level !== blue[i])) return null;
  let black = 0, white = 0, n = 0;
  const rows = [0, SIDE - 1];
  for (const fixed of rows) {
    for (let j = 0; j < SIDE; j++) {
      for (const level of [grey[fixed * SIDE + j], grey[j * SIDE + fixed]]) {
        n += 1;
        black += level <= PLAIN;
        white += level >= 255 - PLAIN;
      }
    }
  }
  const flat = grey.every((level) => level === grey[0]);
  if (flat || Math.max(black, white) / n < 0.1) return null;
  return Uint8Array.from(grey, (level) => (white > black ? 255 - level : level));
}
