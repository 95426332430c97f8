// Parallel coordinates: a line for each setting. A brush becomes a filter of the table, and the reverse.

let brushing = false; // while a brush is written into the table, so that it is not drawn again

/** The axes: what every setting has first, then by importance; the epochs and the score last. */
function parallelAxes() {
  const some = settings(), weight = new Map((trials.data.importances || []).map((row) => [row.hyperparameter, row.mean]));
  const reach = (name) => some.filter((t) => t.values[name] != null).length;
  const varied = hyperparameters().filter((name) => new Set(some.map((t) => t.values[name])).size > 1);
  const order = new Map(varied.map((name) => [name, [-reach(name), -(weight.get(name) || 0)]]));
  varied.sort((a, b) => order.get(a)[0] - order.get(b)[0] || order.get(a)[1] - order.get(b)[1]);
  const axes = varied.map((name) => ({ name, label: name, log: trials.data.axes[name], value: (t) => t.values[name], numeric: isNumeric(name) }));
  return [...axes, { ...fixed[2], log: false }, { ...fixed[1], log: false }].map((axis) => scale(axis, some));
}

/** Where the values of an axis lie on it: numbers, logarithms, or places of texts; inactive ones below all others. */
function scale(axis, some) {
  const values = some.map(axis.value), known = values.filter((v) => v != null);
  const texts = axis.numeric ? null : [...new Set(known.map(String))].sort();
  const log = axis.log && axis.numeric && known.every((v) => v > 0);
  const to = (v) => (texts ? texts.indexOf(String(v)) : log ? Math.log10(v) : v);
  const low = Math.min(...known.map(to)), high = Math.max(...known.map(to)), gap = known.length < values.length ? 0.12 * (high - low || 1) : 0;
  const distinct = [...new Set(known)].sort((a, b) => a - b);
  const few = texts || distinct.length <= 8;
  const ticks = texts ? texts.map((text, i) => [i, text]) : few ? distinct.map((v) => [to(v), short(v, 3)])
    : Array.from({ length: 6 }, (_, i) => low + (i * (high - low)) / 5).map((v) => [v, short(log ? 10 ** v : v, 3)]);
  if (gap) ticks.unshift([low - gap, "none"]);
  return { ...axis, texts, to, from: (place) => (log ? 10 ** place : place), low: low - gap, high: high > low ? high : low + 1, none: gap ? low - gap : null, gap,
    places: values.map((v) => (v == null ? low - gap : to(v))), ticks };
}

/** Return the part of an axis that a filter of the table leaves, as a brush. */
function brushOf(axis) {
  const text = trialTable.texts.get(axis.name);
  if (!text) return undefined;
  const test = parseFilter(text, axis.numeric);
  if (!test) return undefined;
  const half = 0.3;
  if (axis.texts) return axis.texts.map((t, i) => [t, i]).filter(([t]) => test(t)).map(([, i]) => [i - half, i + half]);
  const ends = filterRanges(text).map(([low, high]) => [low, high].map((v) => Math.min(axis.high, Math.max(axis.low + axis.gap, Number.isFinite(v) ? axis.to(v) : v))))
    .map(([low, high]) => (low === high ? [low - 0.01 * (axis.high - axis.low), high + 0.01 * (axis.high - axis.low)] : [low, high]));
  if (test(null) && axis.none != null) ends.push([axis.none - axis.gap / 2, axis.none + axis.gap / 2]);
  return ends;
}

/** Return the filter that says what a brush says. */
function filterOf(axis, brush) {
  if (!brush || !brush.length) return "";
  const ranges = Array.isArray(brush[0]) ? brush : [brush];
  if (axis.texts) {
    const parts = axis.texts.filter((_, i) => ranges.some(([low, high]) => low <= i && i <= high)).map((text) => `=${text}`);
    if (axis.none != null && ranges.some(([low, high]) => low <= axis.none && axis.none <= high)) parts.push("none");
    return parts.join("|");
  }
  const parts = [];
  for (const [low, high] of ranges) {
    if (axis.none != null && low <= axis.none && axis.none <= high) parts.push("none");
    if (high < axis.low + axis.gap) continue;
    parts.push(`${outwards(axis.from(Math.max(low, axis.low + axis.gap)), -1)}..${outwards(axis.from(high), 1)}`);
  }
  return parts.join(" ");
}

/** Round to four digits that count, downwards or upwards, so that no end is lost. */
function outwards(value, way) {
  if (value === 0) return 0;
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3);
  return Number(((way < 0 ? Math.floor(value / step + 1e-9) : Math.ceil(value / step - 1e-9)) * step).toPrecision(6));
}

let axesNow = [];
const parallelChart = new Chart("Parallel coordinates of all settings; the filters of the table do the same with the keys", (width) => {
  const some = settings();
  axesNow = parallelAxes();
  const chart = parallelChart.element;
  chart.style.minWidth = `${Math.max(320, 92 * axesNow.length)}px`;
  const dimensions = axesNow.map((axis) => ({ label: plain(axis.label.length > 15 ? `${axis.label.slice(0, 14)}…` : axis.label), values: axis.places,
    range: [axis.low - (axis.gap ? axis.gap / 2 : 0), axis.high], tickvals: axis.ticks.map(([at]) => at), ticktext: axis.ticks.map(([, text]) => plain(text)),
    constraintrange: brushOf(axis) }));
  const narrow = width / axesNow.length < 70; // on paper
  const line = { color: some.map((t) => trials.rank.get(t.trial)), colorscale: ramp(), cmin: 0, cmax: 1, showscale: false };
  return { height: 400, traces: [{ type: "parcoords", dimensions, line, unselected: { line: { color: color("line"), opacity: 0.5 } },
    labelangle: narrow ? -30 : 0, labelfont: { size: narrow ? 9 : 12, color: color("text") }, tickfont: { size: narrow ? 8 : 11, color: color("quiet") }, rangefont: { size: 1, color: "rgba(0,0,0,0)" } }],
    layout: { uirevision: Date.now(), margin: { l: 48, r: 40, t: narrow ? 70 : 44, b: 20 } } };
}, { drawn: (chart) => chart.on("plotly_restyle", takeBrush) });

function takeBrush([change]) {
  const texts = {};
  for (const [key, value] of Object.entries(change)) {
    const found = key.match(/^dimensions\[(\d+)\]\.constraintrange/);
    if (found) texts[axesNow[found[1]].name] = filterOf(axesNow[found[1]], parallelChart.element.data[0].dimensions[found[1]].constraintrange);
  }
  if (!Object.keys(texts).length) return;
  brushing = true;
  trialTable.setFilters(texts);
  brushing = false;
}
