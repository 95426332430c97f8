// What the score depends on, with the uncertainty of it.

function importanceChart(width = searchCharts.importance.element.clientWidth) {
  const rows = [...(trials.data.importances || [])].reverse();
  const bars = { type: "bar", orientation: "h", y: rows.map((r) => plain(r.hyperparameter)), x: rows.map((r) => r.mean),
    marker: { color: rows.map((r) => (r.low > 0 ? color("accent") : color("faint"))) }, cliponaxis: false,
    error_x: { type: "data", symmetric: false, array: rows.map((r) => r.high - r.mean), arrayminus: rows.map((r) => r.mean - r.low), color: color("text"), thickness: 1.2, width: 4 },
    customdata: rows.map((r) => [short(r.low, 3), short(r.high, 3)]), hovertemplate: "%{y}: %{x:.3f} (%{customdata[0]} to %{customdata[1]})<extra></extra>" };
  return { traces: [bars], height: 90 + 24 * rows.length, layout: { showlegend: false, margin: { l: 56, r: 12, t: 8, b: 44 }, xaxis: { title: { text: `growth of the squared error,${width < 500 ? "<br>" : " "}as a share of the variance` } }, yaxis: { ticksuffix: "  " } } };
}

function drawImportance(data, chart) {
  const body = section("importance", "What the score depends on",
    "How much worse the scores of held-out trials are predicted if the values of a hyperparameter are shuffled. Lines are 95 % intervals, for all together; what is grey may be chance.");
  const known = data.importances && data.importances.length;
  const why = data.under_way ? "This is computed when the search ends." : "It takes eight trials with a score, and hyperparameters that vary.";
  fill(body, known ? [chart.element, data.importances.some((r) => r.low > 0) ? null : el("p", {}, "Nothing stands out.")] : el("p", {}, why));
}
