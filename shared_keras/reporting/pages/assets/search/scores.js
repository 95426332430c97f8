// The head of the page, and the scores in the order of the trials.

function drawHeader(data) {
  const ended = data.trials.filter((t) => t.status !== "RUNNING").length, running = data.trials.length - ended;
  const stale = data.under_way && Date.now() / 1000 - data.written > data.news_within;
  const state = data.finished ? "finished" : !data.under_way ? "stopped; the same command resumes it"
    : stale ? `no news since ${new Date(1000 * data.written).toLocaleTimeString()}; it may have been stopped`
    : `searching, ${running} running`;
  fill(document.getElementById("head"), el("h1", {}, data.title),
    el("p", { class: "state", role: "status" }, el("span", { class: `dot ${data.finished ? "done" : data.under_way && !stale ? "live" : ""}` }),
      `${ended.toLocaleString("en")} of ${count(data.total + data.left_out, "trial")}, ${state}`),
    el("progress", { max: data.total + data.left_out, value: ended, "aria-label": "Trials that have ended" }));
}

function drawWinner(data) {
  const body = section("winner", "Winner"), best = trials.by.get(data.winner);
  const parts = [];
  if (best) {
    const sure = data.confirmed && data.confirmed[0], trained = trials.all.reduce((sum, t) => sum + (t.seconds || 0), 0);
    const shown = [[score(best.score), data.objective, `trial ${best.trial}, ${count(best.epochs, "epoch")}, ${place(best)}`]];
    if (sure) shown.push([`${score(sure.mean)}${sure.sd == null ? "" : ` ± ${score(sure.sd)}`}`, "with other seeds", `n = ${sure.n}`]);
    shown.push([settings().length.toLocaleString("en"), "settings", count(trials.all.reduce((sum, t) => sum + t.epochs - t.initial_epoch, 0), "epoch")]);
    if (trained) shown.push([duration(trained), "of training"]);
    parts.push(figures(shown), facts(Object.entries(best.values).map(([name, value]) => [name, short(value, 6)])));
  } else parts.push(el("p", {}, "No trial has a score yet."));
  parts.push(el("details", { open: true }, el("summary", {}, "Where this comes from"), facts(data.facts)));
  fill(body, parts);
}

function scoresChart() {
  const sign = trials.data.direction === "max" ? 1 : -1;
  const scored = trials.all.filter((t) => t.score != null);
  const at = scored.map((t) => parseInt(t.trial, 10)), lengths = [...new Set(scored.map((t) => t.epochs))].sort((a, b) => a - b);
  let best = -Infinity;
  const steps = scored.map((t) => sign * (best = Math.max(best, sign * t.score)));
  const traces = [{ type: "scatter", mode: "lines", x: at, y: steps, line: { shape: "hv", color: color("quiet"), width: 1.5 }, name: "best so far", hoverinfo: "skip" }];
  lengths.forEach((length, i) => {
    const some = scored.filter((t) => t.epochs === length);
    traces.push({ type: "scatter", mode: "markers", name: count(length, "epoch"), x: some.map((t) => parseInt(t.trial, 10)), y: some.map((t) => t.score),
      marker: { size: some.map((t) => (isSelected(t) ? 13 : 7)), color: rampOf(lengths.length)(length, i), opacity: some.map((t) => (isLeft(t) ? 0.95 : 0.12)) },
      text: some.map(hover), hovertemplate: "%{text}<extra></extra>", customdata: some.map((t) => t.trial) });
  });
  const won = scored.filter(isWinner);
  traces.push({ type: "scatter", mode: "markers", name: "winner", x: won.map((t) => parseInt(t.trial, 10)), y: won.map((t) => t.score), hoverinfo: "skip",
    marker: { symbol: "star", size: 15, color: color("winner"), line: { color: color("card"), width: 1.5 } } });
  const range = clearRange(scored.map((t) => t.score), sign);
  return { traces, layout: { xaxis: { title: { text: "trial" }, rangemode: "tozero" }, yaxis: { title: { text: plain(trials.data.objective) }, range } } };
}

/** A range that leaves out what is far off on the bad side, as the picture of a search does. */
function clearRange(scores, sign) {
  if (scores.length < 20) return undefined;
  const sorted = [...scores].sort((a, b) => a - b), q = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const far = 3 * (q(0.75) - q(0.25)) || Infinity;
  const low = sign > 0 ? Math.max(sorted[0], q(0.25) - far) : sorted[0];
  const high = sign > 0 ? sorted.at(-1) : Math.min(sorted.at(-1), q(0.75) + far);
  const margin = 0.05 * (high - low) || 0.01;
  return [low - margin, high + margin];
}
