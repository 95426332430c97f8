// What the cells above a table's columns understand, and how a brush is written there.

const FILTER_HELP = "Numbers: 64, >0.9, <=5, 0.1..0.5; several with spaces: any of them. " +
  "Text: a part of it, or =whole; several with |: any of them. “none” is an empty cell.";

/** Return a test for the values of a column, or null if the filter cannot be understood. */
function parseFilter(text, numeric) {
  const tests = numeric
    ? text.trim().split(/[\s,|]+/).map(numberTest)
    : text.split("|").map((part) => part.trim()).filter(Boolean).map(textTest);
  return tests.includes(null) ? null : (value) => tests.some((test) => test(value));
}

/** Return the parts of a term: `range`, its two ends, or else `sign` and `limit`. */
function termOf(term) {
  const range = term.match(/^(.*?)\.\.(.*)$/), sign = term.match(/^(>=|<=|>|<|=|)(.+)$/);
  if (range) return { range: [range[1] === "" ? -Infinity : Number(range[1]), range[2] === "" ? Infinity : Number(range[2])] };
  return sign ? { sign: sign[1], limit: Number(sign[2]) } : { sign: "", limit: NaN };
}

function numberTest(term) {
  if (term === "none") return (value) => value == null;
  const { range, sign, limit } = termOf(term);
  if (range) {
    const [low, high] = range;
    return Number.isNaN(low + high) && low !== -high ? null : (value) => value != null && low <= value && value <= high;
  }
  if (Number.isNaN(limit)) return null;
  return { ">=": (v) => v != null && v >= limit, "<=": (v) => v != null && v <= limit, ">": (v) => v != null && v > limit,
    "<": (v) => v != null && v < limit }[sign] || ((value) => value === limit);
}

function textTest(term) {
  if (term === "none") return (value) => value == null;
  if (term.startsWith("=")) return (value) => value != null && String(value) === term.slice(1);
  return (value) => value != null && String(value).toLowerCase().includes(term.toLowerCase());
}

/** Return the ranges of a filter of numbers, as a brush has them. */
function filterRanges(text) {
  return text.trim().split(/[\s,|]+/).flatMap((term) => {
    const { range, sign, limit } = termOf(term);
    if (range) return [range];
    if (Number.isNaN(limit)) return [];
    return [sign.startsWith(">") ? [limit, Infinity] : sign.startsWith("<") ? [-Infinity, limit] : [limit, limit]];
  });
}
