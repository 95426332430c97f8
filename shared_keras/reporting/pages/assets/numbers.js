// Numbers as people read them.

const grouped = new Intl.NumberFormat("en"); // made once, as that takes long

/** A number with at most so many digits that count. */
function short(value, digits = 4) {
  if (value == null) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return grouped.format(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(digits)));
}

/** A score with four decimals. */
const score = (value) => (value == null ? "–" : Math.abs(value) < 1e4 ? value.toFixed(4) : short(value));

/** A share of one, in percent. */
const percent = (value, digits = 2) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`);

/** A time in seconds. */
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** So many of something. */
const count = (n, noun) => `${grouped.format(n)} ${noun}${n === 1 ? "" : "s"}`;

/** The value in the middle. */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Compare two values of a column; what is missing comes last, whichever way it is sorted. */
function compare(a, b, down) {
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}
