// Training and validation by epoch: the mean of the seeds, a band of one deviation, and what was published.

function runCurve(panel) {
  const traces = [];
  panel.lines.forEach(({ name, mean, sd }) => {
    const x = mean.map((_, i) => i + 1), line = { color: color(name === "validation" ? "accent" : "quiet"), width: 2, dash: name === "validation" ? "solid" : "dash" };
    traces.push(...bandOf(mean, sd, line.color, 0.25));
    traces.push({ type: "scatter", mode: x.length < 3 ? "lines+markers" : "lines", name, x, y: mean, line, hovertemplate: `${name}, epoch %{x}: %{y:.4f}<extra></extra>` });
  });
  if (panel.published) traces.push({ type: "scatter", mode: "markers", name: "published, validation", x: panel.published.map((_, i) => i + 1), y: panel.published,
    marker: { symbol: "diamond-open", size: 8, color: color("winner"), line: { width: 1.6 } }, hovertemplate: "published, epoch %{x}: %{y:.4f}<extra></extra>" });
  return { traces, layout: { xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: plain(panel.metric) } } } };
}
