// Learning curves: what a setting measured in each epoch, through all its promotions, as one line.

let curveMetric = null;

/** The values of a metric along the trials of a setting, and their epochs; `null` where one is not known. */
function curveOf(last, metric) {
  const points = [];
  for (const t of lineOf(last)) (t.curves[metric] || []).forEach((value, i) => points.push([t.initial_epoch + i + 1, value]));
  return points;
}

function curveMetrics() {
  const names = new Set(trials.all.flatMap((t) => Object.keys(t.curves)));
  return [...names].sort((a, b) => (b === trials.data.objective) - (a === trials.data.objective) || a.localeCompare(b));
}

/** Several lines as one, with gaps between them, which is quicker to draw. */
function joined(some, metric, style) {
  const x = [], y = [], text = [], customdata = [];
  for (const t of some) {
    for (const [epoch, value] of curveOf(t, metric)) { x.push(epoch); y.push(value); text.push(t.trial); customdata.push(t.trial); }
    x.push(null); y.push(null); text.push(null); customdata.push(null);
  }
  return { type: "scatter", mode: "lines", x, y, text, customdata, connectgaps: false, hovertemplate: `trial %{text}, epoch %{x}: %{y:.4f}<extra></extra>`, ...style };
}

function curvesChart() {
  const metric = curveMetric || trials.data.objective;
  const last = trials.all.filter((t) => !trials.child.has(t.trial) && Object.keys(lineOf(t)[0].curves).length);
  const isIn = (t) => settingOf(t).some(isLeft), won = (t) => settingOf(t).some(isWinner);
  const traces = [joined(last.filter((t) => !isIn(t)), metric, { name: "filtered out", line: { color: color("line"), width: 1 }, hoverinfo: "skip", showlegend: last.some((t) => !isIn(t)) })];
  const left = last.filter((t) => isIn(t) && !won(t) && !isSelected(t));
  for (let i = 0; i < 8; i++) {
    const some = left.filter((t) => Math.min(7, Math.floor(8 * (trials.rank.get(t.trial) ?? 0))) === i);
    if (some.length) traces.push(joined(some, metric, { showlegend: false, opacity: 0.75, line: { color: rampAt((i + 0.5) / 8), width: 1.3 } }));
  }
  traces.push(joined(last.filter(won), metric, { name: "winner", line: { color: color("winner"), width: 3 } }));
  const chosen = last.filter((t) => isSelected(t) && !won(t));
  traces.push(joined(chosen, metric, { name: "selected", showlegend: chosen.length > 0, line: { color: color("accent"), width: 3 } }));
  const values = traces.slice(1).flatMap((trace) => trace.y).filter((v) => v != null);
  const sign = metric.endsWith("loss") ? -1 : 1;
  const several = new Set(traces.flatMap((trace) => trace.x)).size > 2;
  return { traces: several ? traces : traces.map((trace) => ({ ...trace, mode: "markers" })),
    layout: { xaxis: { title: { text: "epoch" }, rangemode: "tozero" }, yaxis: { title: { text: plain(metric) }, range: values.length ? clearRange(values, sign) : undefined } } };
}
