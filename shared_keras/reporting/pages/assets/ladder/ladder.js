// The page of the ladder.

let ladder = null, ladderLeft = new Set();
const shownAs = (row, value) => (value == null ? "–" : row.score.endsWith("accuracy") ? percent(value) : value.toFixed(4));
const ofValidation = (row) => row.score === "val_accuracy";
const keyOf = (row) => `${row.recipe}, ${row.score}`;

/** A mean with its interval in words. */
function meanOf(row, { mean, sd, n, low, high, yours }) {
  if (mean == null) return "–";
  const spread = sd == null ? "" : ` ± ${row.score.endsWith("accuracy") ? (100 * sd).toFixed(2) : sd.toFixed(4)}`;
  return el("span", { title: low == null ? null : `95 % interval of the mean: ${shownAs(row, low)} to ${shownAs(row, high)}` },
    `${shownAs(row, mean)}${spread}`, el("small", {}, ` n = ${n}${yours ? ", yours" : ""}`));
}
const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(2)}`;
const verdict = (text) => (text ? el("span", { class: `verdict ${text.split(" ")[0]}` }, text) : "");

const ladderTable = new DataTable({ caption: "Recipes: published, ours, and in PyTorch", noun: "score", step: 300, key: keyOf,
  changed: (left) => { ladderLeft = new Set(left.map(keyOf)); drawSoon([rungsChart]); },
  columns: [
    { name: "recipe", value: (row) => row.recipe }, { name: "score", value: (row) => row.score },
    { name: "published", numeric: true, down: true, value: (row) => row.published, show: (row) => shownAs(row, row.published) },
    { name: "ours", numeric: true, down: true, value: (row) => row.ours.mean, show: (row) => meanOf(row, row.ours) },
    { name: "PyTorch twin", numeric: true, down: true, value: (row) => row.twin.mean, show: (row) => meanOf(row, row.twin) },
    { name: "published is", value: (row) => row.beside_published, show: (row) => verdict(row.beside_published) },
    { name: "ours − twin, points", numeric: true, value: (row) => (row.difference == null ? null : 100 * row.difference),
      show: (row) => (row.difference == null ? "" : el("span", {}, points(row.difference), el("small", {}, ` ${points(row.difference_low)} to ${points(row.difference_high)}`))) },
    { name: "port and twin are", value: (row) => row.verdict, show: (row) => verdict(row.verdict) },
  ] });

const SERIES = [["published", "published", "diamond-open", "text", 0], ["ours", "ours", "circle", "accent", -0.17], ["twin", "PyTorch twin", "square", "bad", 0.17]];

const meanIn = (row, key) => (key === "published" ? row.published : row[key].mean);

const rungsChart = new Chart("Main score of each recipe", () => {
  const rows = ladder.rows.filter((row) => row.main && ladderLeft.has(keyOf(row))), n = rows.length;
  const all = rows.flatMap((row) => SERIES.map(([key]) => meanIn(row, key))).filter((v) => v != null).map((v) => 100 * v);
  const least = all.length ? Math.max(Math.min(...all), median(all) - 15) : 0, range = [least - 1, Math.min(100.2, Math.max(...all, 1) + 1)];
  const traces = SERIES.map(([key, name, symbol, shade, shift]) => {
    const some = rows.map((row, i) => [row, i]).filter(([row]) => meanIn(row, key) != null), isFar = (row) => 100 * meanIn(row, key) < least;
    const half = ([row]) => (key === "published" || row[key].low == null || isFar(row) ? 0 : 100 * (row[key].high - row[key].mean));
    return { type: "scatter", mode: "markers", name, x: some.map(([row]) => (isFar(row) ? least - 0.6 : 100 * meanIn(row, key))), y: some.map(([, i]) => n - 1 - i - shift),
      marker: { symbol: some.map(([row]) => (isFar(row) ? "triangle-left-open" : symbol)), size: 9, color: color(shade) },
      error_x: { visible: key !== "published", type: "data", array: some.map(half), color: color(shade), thickness: 1.4, width: 3 },
      text: some.map(([row]) => plain(`${row.recipe}: ${shownAs(row, meanIn(row, key))}`)), hovertemplate: `%{text}<extra>${name}</extra>` };
  });
  return { traces, height: 130 + 34 * n, layout: { xaxis: { title: { text: `accuracy, %${rows.some(ofValidation) ? " (val.: on validation images)" : ""}` }, range },
    yaxis: { tickvals: rows.map((_, i) => n - 1 - i), ticktext: rows.map((row) => plain(row.recipe + (ofValidation(row) ? " (val.)" : ""))), range: [-0.6, n - 0.4], ticksuffix: "  ", zeroline: false } } };
});

function trainingChart(training) {
  const shades = { published: "text", ours: "accent", twin: "bad" };
  const traces = training.lines.flatMap(({ name, mean, sd }) => {
    const x = mean.map((_, i) => i + 1), shade = color(shades[name]);
    const line = name === "published" ? { mode: "markers", marker: { symbol: "diamond-open", size: 7, color: shade } } : { mode: "lines", line: { color: shade, width: 2 } };
    return [...bandOf(mean, sd, shade, 0.2), { type: "scatter", name: name === "twin" ? "PyTorch twin" : name, x, y: mean, hovertemplate: `${name}, epoch %{x}: %{y:.4f}<extra></extra>`, ...line }];
  });
  return { traces, layout: { xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "validation accuracy" } } } };
}

function render(data) {
  ladder = data;
  fill(document.getElementById("head"), el("h1", {}, data.title));
  const counted = (key, value) => data.rows.filter((row) => row[key] === value).length;
  const judged = data.rows.filter((row) => row.verdict).length, beside = data.rows.filter((row) => row.beside_published).length;
  section("about", "Where this comes from").append(figures([
    [`${counted("verdict", "equal")} of ${judged}`, "recipes equal to PyTorch's", `within ${100 * data.margin} points; ${counted("verdict", "different")} different, ${counted("verdict", "undecided")} undecided`],
    [`${counted("beside_published", "within the noise")} of ${beside}`, "published scores within the noise", `${counted("beside_published", "explained")} explained, ${counted("beside_published", "open")} open`],
  ]), facts(data.facts));
  section("chart", "Ladder", "The main score of each recipe; bars are 95 % intervals of the mean over seeds, and triangles at the left edge stand for what lies further down. The filters of the table hold here, too.").append(rungsChart.element);
  section("table", "Scores", "Port and twin are equal if they lie within the margin by two one-sided tests, different if Welch's test says so; verdicts hold for all rows together (Holm).").append(ladderTable.element);
  ladderTable.update(data.rows);
  if (data.trainings.length) section("curves", "Whole trainings", "Validation accuracy by epoch: as published, and the mean of our seeds with a band of one standard deviation.")
    .append(el("div", { class: "panels" }, data.trainings.map((each) => el("div", {}, el("h3", {}, each.name), new Chart(`${each.name}: validation accuracy by epoch`, () => trainingChart(each), { height: 300 }).element))));
  const notes = new Map(data.rows.filter((row) => row.note).map((row) => [row.recipe, row.note]));
  if (notes.size) section("notes", "What was published").append(facts([...notes]));
}
