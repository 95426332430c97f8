// How long trials took, how busy the workers were, and what failed.

const PAUSE = 30; // seconds without any training, after which the search was interrupted

/** Return the trials whose times are known, with what was left out of interruptions: begin and end in seconds. */
function spans() {
  const known = trials.all.filter((t) => t.span).map((t) => ({ t, worker: t.span[0], began: t.span[1], ended: t.span[2] })).sort((a, b) => a.began - b.began);
  let until = known.length ? known[0].began : 0, shift = until;
  for (const span of known) {
    if (span.began - until > PAUSE) shift += span.began - until;
    until = Math.max(until, span.ended);
    span.from = span.began - shift;
    span.to = span.ended - shift;
  }
  return known;
}

function timesChart() {
  const known = spans(), workers = [...new Set(known.map((s) => s.worker))].sort((a, b) => compare(b, a));
  const lengths = [...new Set(known.map((s) => s.t.epochs))].sort((a, b) => a - b);
  const traces = lengths.map((length, i) => {
    const some = known.filter((s) => s.t.epochs === length);
    return { type: "bar", orientation: "h", name: `to epoch ${length}`, y: some.map((s) => plain(s.worker)), base: some.map((s) => s.from), x: some.map((s) => s.to - s.from),
      marker: { color: rampOf(lengths.length)(length, i), opacity: some.map((s) => (isLeft(s.t) ? 1 : 0.15)),
        line: { color: some.map((s) => (isSelected(s.t) ? color("text") : color("card"))), width: some.map((s) => (isSelected(s.t) ? 3 : 0.5)) } },
      text: some.map((s) => `${hover(s.t)}<br>${duration(s.to - s.from)}`), textposition: "none", hovertemplate: "%{text}<extra></extra>", customdata: some.map((s) => s.t.trial) };
  });
  return { traces, height: 150 + 40 * Math.min(workers.length, 16), layout: { barmode: "overlay", bargap: 0.25, xaxis: { title: { text: "seconds since the search began, without pauses" } },
    yaxis: { categoryorder: "array", categoryarray: workers.map(plain), fixedrange: true, ticksuffix: "  " } } };
}

function drawTimes(data, chart) {
  const body = section("times", "Time"), known = spans(), took = trials.all.filter((t) => t.seconds).map((t) => t.seconds);
  const shown = [];
  if (known.length) {
    const workers = new Set(known.map((s) => s.worker)).size, all = Math.max(...known.map((s) => s.to)), busy = known.reduce((sum, s) => sum + s.to - s.from, 0);
    shown.push([duration(all), "from first to last trial"], [percent(busy / (all * workers), 0), `busy, ${count(workers, "worker")}`]);
  }
  if (took.length) shown.push([duration(median(took)), "a trial (median)", `${duration(Math.min(...took))} to ${duration(Math.max(...took))}`],
    [duration(median(trials.all.filter((t) => t.seconds).map((t) => t.seconds / (t.epochs - t.initial_epoch)))), "an epoch (median)"]);
  fill(body, shown.length ? figures(shown) : el("p", {}, "No trial has ended yet."),
    known.length ? chart.element : took.length ? el("p", {}, "When each trial ran is not known: an earlier version did not record it.") : null);
}

const failedTable = new DataTable({ caption: "Failed trials", filters: false, key: (t) => t.trial, columns: [
  { name: "trial", value: (t) => t.trial, show: (t) => el("button", { type: "button", class: "link", onclick: () => select(t.trial) }, t.trial) },
  { name: "place", value: place }, { name: "reason", value: (t) => t.reason, show: (t) => el("code", {}, t.reason || "not known") }] });

function drawFailed(data) {
  const failed = data.trials.filter((t) => t.status === "FAILED");
  const body = section("failed", "Failed trials", "trial.json in the folder of a trial has the traceback.");
  present("failed", failed.length > 0);
  if (!failedTable.element.isConnected) fill(body, failedTable.element);
  failedTable.update(failed);
}
