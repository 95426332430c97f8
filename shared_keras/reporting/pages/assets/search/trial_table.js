// The table of all trials. Its filters are those of the whole page; a brush is written into them.

const fixed = [
  { name: "trial", unfiltered: false, value: (t) => t.trial, show: (t) => el("button", { type: "button", class: "link", "aria-pressed": String(isSelected(t)), onclick: () => select(t.trial) }, t.trial) },
  { name: "score", numeric: true, value: (t) => t.score, show: (t) => score(t.score) },
  { name: "epochs", numeric: true, down: true, title: "The epoch where it stops", value: (t) => t.epochs },
  { name: "status", value: (t) => t.status.toLowerCase(), show: (t) => (t.status === "RUNNING" && t.epoch ? `epoch ${t.epoch} of ${t.epochs}` : t.status.toLowerCase()) },
  { name: "bracket", numeric: true, value: (t) => t.bracket },
  { name: "rung", numeric: true, value: (t) => t.rung },
  { name: "resumes", title: "The trial that it resumes", value: (t) => t.parent },
  { name: "promoted", title: "The trial that resumes it", value: (t) => trials.child.get(t.trial) },
  { name: "seconds", numeric: true, value: (t) => t.seconds },
].map((column) => ({ ...column, name: ` ${column.name}`, label: column.name })); // apart from the hyperparameters

const hyperparameters = () => Object.keys(trials.data.axes).filter((name) => trials.all.some((t) => name in t.values));
const isNumeric = (name) => trials.all.every((t) => t.values[name] == null || typeof t.values[name] === "number");

function trialColumns() {
  fixed[1].down = trials.data.direction === "max";
  const own = hyperparameters().map((name) => ({ name, numeric: isNumeric(name), value: (t) => t.values[name] }));
  return [...fixed, ...own];
}

const trialTable = new DataTable({
  caption: "All trials", noun: "trial", columns: fixed, key: (t) => t.trial,
  rowClass: (t) => [isWinner(t) && "won", isSelected(t) && "selected"].filter(Boolean).join(" "),
  changed: (left) => { trials.left = new Set(left.map((t) => t.trial)); remember(); redraw(); },
});

/** Select the setting of a trial everywhere, or nothing if it is selected already. */
function select(id) {
  const trial = trials.by.get(id);
  trials.selected = trial && isSelected(trial) ? null : id;
  trialTable.draw();
  drawSelection();
  redraw();
}

const selection = el("div", { class: "selection", "aria-live": "polite" });
function drawSelection() {
  const trial = trials.by.get(trials.selected);
  selection.hidden = !trial;
  if (!trial) return;
  const line = settingOf(trial);
  fill(selection, el("h3", {}, `Setting of trial ${trial.trial}`),
    el("p", {}, line.map((t) => `${t.trial}: ${t.score == null ? t.status.toLowerCase() : score(t.score)} after ${count(t.epochs, "epoch")}`).join(" → ")),
    facts(Object.entries(trial.values).map(([name, value]) => [name, short(value, 6)])),
    line.filter((t) => t.reason).map((t) => el("pre", {}, t.reason)),
    el("button", { type: "button", onclick: () => select(trials.selected) }, "Deselect"));
}

// Filters survive new data because the table keeps them, and a reload of the page because of this.
const memory = () => `filters of ${location.pathname}`;
function remember() {
  try { sessionStorage.setItem(memory(), JSON.stringify([...trialTable.texts])); } catch { /* not allowed here */ }
}
function recall() {
  try { trialTable.texts = new Map(JSON.parse(sessionStorage.getItem(memory()) || "[]")); } catch { /* nor this */ }
}
