// The funnel of each bracket: its rungs, their trials by score, and who was promoted.

function drawFunnel(data) {
  const runs = [...new Set(data.plan.map((rung) => rung.run))];
  const widest = Math.max(...data.plan.map((rung) => rung.trials), 1);
  const iterations = Math.max(1, ...runs.map((run) => runs.filter((r) => bracketOf(r) === bracketOf(run)).length));
  const cards = runs.map((run) => {
    const again = runs.filter((r) => r <= run && bracketOf(r) === bracketOf(run)).length;
    return el("div", { class: "bracket" }, el("h3", {}, `Bracket ${bracketOf(run)}`, iterations > 1 ? el("small", {}, ` ${again} of ${iterations}`) : null),
      data.plan.filter((rung) => rung.run === run).map((rung) => drawRung(rung, widest)));
  });
  fill(section("funnel", "Brackets and rungs", "Each square is a trial; in a rung the best comes first. A click selects its setting."),
    legend([["cell promoted", "promoted"], ["cell won", "winner"], ["cell", "ended"], ["cell failed", "failed"], ["cell running", "running"], ["cell open", "to come"]]),
    el("div", { class: "funnel" }, cards));
}

const bracketOf = (run) => trials.data.plan.find((rung) => rung.run === run).bracket;

/** The trials of a rung, those that replace others, too, the best first. */
function ofRung(rung) {
  const inside = trials.all.filter((t) => { const n = parseInt(t.trial, 10); return rung.first <= n && n < rung.first + rung.trials; });
  const best = trials.best(inside);
  return [...best, ...inside.filter((t) => t.score == null)];
}

function drawRung(rung, widest) {
  const inside = ofRung(rung), promoted = inside.filter((t) => trials.child.has(t.trial)).length;
  const cells = inside.map((t) => el("span", { class: `cell ${kindOf(t)}`, "data-trial": t.trial, title: `trial ${t.trial}: ${t.score == null ? t.status.toLowerCase() : score(t.score)}`, onclick: () => select(t.trial) }));
  for (let i = inside.length; i < rung.trials; i++) cells.push(el("span", { class: "cell open" }));
  const columns = Math.max(1, Math.round(Math.min(48, widest) * Math.sqrt(rung.trials / widest)));
  const best = inside.find((t) => t.score != null);
  return el("div", { class: "rung" },
    el("div", { class: "cells", style: `--columns:${columns}` }, cells),
    el("p", {}, el("b", {}, `rung ${rung.rung}`), ` ${rung.epochs - rung.initial_epoch > 1 ? `epochs ${rung.initial_epoch + 1}–${rung.epochs}` : `epoch ${rung.epochs}`}, ${inside.length < rung.trials ? `${inside.length} of ` : ""}${count(rung.trials, "trial")}` +
      `${best ? `, best ${score(best.score)}` : ""}${promoted ? `, ${promoted} promoted` : ""}`));
}

const kindOf = (t) => [isWinner(t) ? "won" : t.status === "FAILED" ? "failed" : t.status === "RUNNING" ? "running" : trials.child.has(t.trial) ? "promoted" : "",
  isLeft(t) ? "" : "faint", isSelected(t) ? "selected" : ""].join(" ");

function markFunnel() {
  for (const cell of document.querySelectorAll("#funnel .cell[data-trial]")) cell.className = `cell ${kindOf(trials.by.get(cell.dataset.trial))}`;
}
