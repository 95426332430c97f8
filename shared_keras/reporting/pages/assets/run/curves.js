// Training and validation by epoch: the mean of the seeds, a band of one deviation, and what was published.

function runCurve(panel) {
  const traces = [];
  panel.lines.forEach(({ name, mean, sd }) => {
    const x = mean.map((_, i) => i + 1), line = { color: color(name === "validation" ? "accent" : "quiet"), width: 2, dash: name === "validation" ? "solid" : "dash" };
    if (sd.some((each) => each != null)) traces.push({ type: "scatter", mode: "lines", x: [...x, ...[...x].reverse()], hoverinfo: "skip", showlegend: false, line: { width: 0 },
      y: [...mean.map((m, i) => m + (sd[i] || 0)), ...mean.map((m, i) => m - (sd[i] || 0)).reverse()], fill: "toself", opacity: 0.25, fillcolor: line.color });
    traces.push({ type: "scatter", mode: x.length < 3 ? "lines+markers" : "lines", name, x, y: mean, line, hovertemplate: `${name}, epoch %{x}: %{y:.4f}<extra></extra>` });
  });
  if (panel.published) traces.push({ type: "scatter", mode: "markers", name: "published, validation", x: panel.published.map((_, i) => i + 1), y: panel.published,
    marker: { symbol: "diamond-open", size: 8, color: color("winner"), line: { width: 1.6 } }, hovertemplate: "published, epoch %{x}: %{y:.4f}<extra></extra>" });
  return { traces, layout: { xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: plain(panel.metric) } } } };
}
