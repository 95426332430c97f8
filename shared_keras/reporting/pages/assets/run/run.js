// The page of a run: what it shows, in which order.

function render(data) {
  document.documentElement.style.setProperty("--images", `url(${data.images})`);
  fill(document.getElementById("head"), el("h1", {}, data.title));
  section("scores", "Scores").append(figures(data.figures), el("details", { open: true }, el("summary", {}, "Where this comes from"), facts(data.facts)));
  if (data.curves.length) {
    const note = data.curves.some((panel) => panel.published) ? "Only validation can be held against what was published." : null;
    section("curves", "Training", [data.seeds > 1 ? `Mean of ${data.seeds} seeds, with a band of one standard deviation.` : null, note].filter(Boolean).join(" "))
      .append(el("div", { class: "panels" }, data.curves.map((panel) => new Chart(`${panel.metric} by epoch`, () => runCurve(panel), { height: 320 }).element)));
  }
  drawClasses(data);
  drawConfusion(data);
  drawHardest(data);
}
