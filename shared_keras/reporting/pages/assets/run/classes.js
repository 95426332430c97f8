// Scores of each class, with their intervals.

const share = (name) => ({ name, numeric: true, down: true, value: (row) => row[name].mean, show: (row) => intervalBar(row[name]) });

/** A score with its interval: a dot on a bar from the lowest end of all to 1, and the figures. */
function intervalBar({ mean, low, high, sd }) {
  if (mean == null) return "–";
  const at = (value) => `${Math.max(0, Math.min(100, (100 * (value - lowest)) / (1 - lowest)))}%`;
  return el("span", { class: "interval", title: `95 % interval ${percent(low)} to ${percent(high)}` },
    el("b", {}, percent(mean)), sd == null ? null : el("small", {}, ` ± ${(100 * sd).toFixed(2)}`), el("small", {}, ` ${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)}`),
    el("span", { class: "track", "aria-hidden": "true" }, el("i", { style: `left:${at(low)};right:calc(100% - ${at(high)})` }), el("u", { style: `left:${at(mean)}` })));
}
let lowest = 0;

const classTable = new DataTable({ caption: "Scores of each class", filters: false, step: 300, key: (row) => row.class,
  columns: [{ name: "class", value: (row) => row.class }, share("precision"), share("recall"), share("f1"), { name: "images", numeric: true, value: (row) => row.support }] });

function drawClasses(data) {
  const ends = data.scores.flatMap((row) => ["precision", "recall", "f1"].filter((key) => row[key].mean != null).map((key) => row[key].low));
  lowest = Math.max(0, Math.floor(10 * Math.min(1, ...ends)) / 10);
  const seeds = data.seeds > 1 ? ` Figures are means of ${data.seeds} seeds ± their standard deviation.` : "";
  section("classes", "Classes", `Bars from ${percent(lowest, 0)} to 100 %: 95 % intervals (Wilson) for other test images and one seed; F1's is that of the share of which it is a function.${seeds}`).append(classTable.element);
  classTable.update(data.scores);
}
