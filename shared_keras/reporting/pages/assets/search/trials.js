// The trials of a search, how they follow from each other, and which of them are filtered or selected.

const trials = { data: null, all: [], by: new Map(), child: new Map(), left: new Set(), selected: null };

/** Take up new data. */
function takeTrials(data) {
  Object.assign(trials, { data, all: data.trials, by: new Map(data.trials.map((t) => [t.trial, t])) });
  trials.child = new Map(data.trials.filter((t) => t.parent).map((t) => [t.parent, t.trial]));
  const scored = data.trials.filter((t) => t.score != null);
  const sign = data.direction === "max" ? 1 : -1;
  const order = [...scored].sort((a, b) => sign * (a.score - b.score));
  trials.rank = new Map(order.map((t, i) => [t.trial, i / Math.max(1, order.length - 1)]));
  trials.best = (some) => [...some].filter((t) => t.score != null).sort((a, b) => sign * (b.score - a.score) || (a.trial < b.trial ? -1 : 1));
}

/** All trials as `results()` has them: longest trained first, then by score; those without one last. */
function ranked() {
  const scored = trials.best(trials.all).sort((a, b) => b.epochs - a.epochs);
  return [...scored, ...trials.all.filter((t) => t.score == null)];
}

/** A trial and those that it resumes, the first one first. */
function lineOf(trial) {
  const line = [];
  for (let one = trial; one; one = trials.by.get(one.parent)) line.unshift(one);
  return line;
}

/** All trials of the setting that a trial trained. */
function settingOf(trial) {
  let last = trial;
  while (trials.by.has(trials.child.get(last.trial))) last = trials.by.get(trials.child.get(last.trial));
  return lineOf(last);
}

/** The last trial of each setting; those that have a score. */
const settings = () => trials.all.filter((t) => !trials.child.has(t.trial) || trials.by.get(trials.child.get(t.trial)).score == null)
  .filter((t) => t.score != null);

const isSelected = (t) => trials.selected != null && settingOf(trials.by.get(trials.selected) || t).includes(t);
const isWinner = (t) => t.trial === trials.data.winner;
const isLeft = (t) => trials.left.has(t.trial);
const place = (t) => `bracket ${t.bracket} rung ${t.rung}`;

/** The values of a trial in words. */
const told = (t) => Object.entries(t.values).map(([name, value]) => `${name} ${short(value)}`);

/** What a chart says when a point is touched. */
const hover = (t) => plain(`trial ${t.trial}, ${place(t)}, ${score(t.score)} after ${count(t.epochs, "epoch")}`) + "<br>" +
  told(t).slice(0, 14).map(plain).join("<br>");
