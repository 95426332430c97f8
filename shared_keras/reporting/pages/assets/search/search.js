// The page of a search: what it shows, in which order, and what is drawn again when.

const searchCharts = {
  scores: new Chart("Score of each trial", scoresChart, { height: 340 }),
  curves: new Chart("Learning curves", curvesChart, { height: 380 }),
  importance: new Chart("Importance of hyperparameters", importanceChart),
  times: new Chart("When each worker trained which trial", timesChart),
  parallel: parallelChart,
};
for (const name of ["scores", "curves", "times"]) {
  searchCharts[name].drawn = (chart) => chart.on("plotly_click", ({ points }) => points[0].customdata && select(points[0].customdata));
}
let again = null;

/** Draw what depends on filters and on the selection, once a hand has come to rest. */
function redraw() {
  markFunnel();
  clearTimeout(again);
  const some = [searchCharts.scores, searchCharts.curves, searchCharts.times, ...(brushing ? [] : [parallelChart])];
  again = setTimeout(() => drawSoon(some), 60);
}

function render(data) {
  const first = !trials.data;
  takeTrials(data);
  if (first) recall();
  drawHeader(data);
  drawWinner(data);
  if (first) {
    section("scores", "Scores").append(searchCharts.scores.element);
    section("trials", "Trials", "Columns sort; the cells under their names filter, for the whole page. A trial's number selects its setting.").append(trialTable.element, selection);
    section("parallel", "Hyperparameters", "A line for each setting, in the colour of its score's rank, bright is good. Drag along an axis to filter; click on it to undo that. “none” is an inactive hyperparameter.")
      .append(el("div", { class: "scroll wide", tabindex: 0, role: "region", "aria-label": "Parallel coordinates" }, parallelChart.element));
  }
  drawFunnel(data);
  if (first) section("curves", "Learning curves", "A line for each setting, through all its promotions, in the colour of its score's rank.").append(el("div", { id: "curve-metric" }), searchCharts.curves.element);
  const metrics = curveMetrics();
  fill(document.getElementById("curve-metric"), metrics.length > 1
    ? choice("Metric", metrics, curveMetric || data.objective, (metric) => { curveMetric = metric; drawSoon([searchCharts.curves]); }) : null);
  drawImportance(data, searchCharts.importance);
  drawFailed(data);
  drawTimes(data, searchCharts.times);
  trialTable.update(ranked(), trialColumns());
  drawSelection();
  drawSoon([searchCharts.importance]);
}
