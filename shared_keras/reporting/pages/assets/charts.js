// Plotly, in the colours of the page. A chart is drawn once Plotly is there, and again in other colours.

const RAMPS = { // from bad to good; on a dark page without what is as dark as the page
  light: ["#440154", "#3b528b", "#21918c", "#5ec962", "#f0d722"], dark: ["#6c5bb8", "#4f86c6", "#2fb0a6", "#7fd34e", "#fde725"],
};
const FONT = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const PAPER = 690, SHEET = 880; // pixels across and down a sheet of A4, or of Letter, between its margins
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Set();
const onPaper = () => document.documentElement.classList.contains("paper");

/** The colours of a ramp with their places, from 0 to 1. */
const ramp = () => RAMPS[dark.matches && !onPaper() ? "dark" : "light"].map((each, i, all) => [i / (all.length - 1), each]);

/** A colour of the ramp. */
function rampAt(share) {
  const colors = ramp(), i = Math.min(colors.length - 2, Math.floor(share * (colors.length - 1))), [a, b] = [colors[i], colors[i + 1]];
  const part = (share - a[0]) / (b[0] - a[0]), channel = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return `rgb(${[0, 1, 2].map((k) => Math.round(channel(a[1], k) * (1 - part) + channel(b[1], k) * part)).join(",")})`;
}

/** Colours of the ramp for so many kinds. */
const rampOf = (n) => (_, i) => rampAt(n < 2 ? 0.5 : i / (n - 1));

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Text from outside for Plotly, which takes some HTML. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** A band of one standard deviation around the mean of each epoch, as traces: none where there is no deviation. */
function bandOf(mean, sd, shade, opacity) {
  if (!sd.some((each) => each != null)) return [];
  const x = mean.map((_, i) => i + 1), end = (way) => mean.map((m, i) => m + way * (sd[i] || 0));
  return [{ type: "scatter", mode: "lines", x: [...x, ...[...x].reverse()], y: [...end(1), ...end(-1).reverse()], fill: "toself", fillcolor: shade, opacity,
    line: { width: 0 }, hoverinfo: "skip", showlegend: false }];
}

/** A chart: `draw()` returns its `traces`, its `layout` and maybe its `height`. */
class Chart {
  constructor(label, draw, options = {}) {
    this.make = draw;
    this.element = el("div", { class: "chart", role: "img", "aria-label": label });
    if (options.height) this.element.style.height = `${options.height}px`;
    this.drawn = options.drawn;
    Object.assign(this, { near: false, stale: true });
    this.element.chart = this;
    sight.observe(this.element);
    fill(this.element, el("p", { class: "waiting" }, "…"));
    charts.add(this);
  }

  /** Draw it as wide as it is on the screen, or as the sheet. */
  draw() {
    this.stale = false;
    const width = onPaper() ? PAPER : undefined;
    const { traces, layout, height } = this.make(width);
    const high = height && width ? Math.min(height, SHEET) : height;
    if (high) this.element.style.height = `${high}px`;
    const axis = { gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"), automargin: true };
    const whole = {
      font: { family: FONT, size: 12, color: color("text") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 12, t: 36, b: 44 }, hovermode: "closest", uirevision: "kept",
      hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("text"), family: FONT } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } }, dragmode: "zoom", width, height: width && high, ...layout,
    };
    for (const name of Object.keys(whole).filter((key) => /^[xy]axis/.test(key))) whole[name] = { ...axis, ...whole[name] };
    const first = !this.element.classList.contains("js-plotly-plot");
    if (first) fill(this.element);
    Plotly.react(this.element, traces, whole, { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset" });
    if (this.onSheet && !width) Plotly.relayout(this.element, { autosize: true }); // as wide as the screen again
    this.onSheet = Boolean(width);
    if (first && this.drawn) this.drawn(this.element);
  }
}

/** Charts that are in sight, or soon will be, are drawn; the others once they are. */
let looked = false; // whether it is known which are in sight
const sight = new IntersectionObserver((entries) => {
  looked = true;
  for (const { target, isIntersecting } of entries) target.chart.near = isIntersecting;
  drawSoon(entries.map(({ target }) => target.chart).filter((chart) => chart.stale));
}, { rootMargin: "300px" });

/** Draw some charts, one after the other, so that the page answers in between. */
const queue = [];
function drawSoon(some) {
  for (const chart of some) {
    chart.stale = true;
    if (chart.near && !queue.includes(chart)) queue.push(chart);
  }
  if (window.Plotly) drawNext();
}

let drawing = false;
function drawNext() {
  document.documentElement.toggleAttribute("data-drawn", looked && !queue.length);
  if (!queue.length || drawing) return;
  drawing = true;
  setTimeout(() => {
    const chart = queue.shift();
    if (chart.element.isConnected) chart.draw();
    drawing = false;
    drawNext();
  });
}

const drawAll = () => drawSoon(charts);

/** On paper all charts are drawn, across the sheet, and a table that is wider becomes smaller as a whole. */
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("paper");
  for (const chart of charts) if (window.Plotly && chart.element.isConnected) chart.draw();
  for (const part of document.querySelectorAll(".scroll")) part.style.setProperty("--fit", Math.min(1, PAPER / part.scrollWidth));
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("paper");
  drawAll();
});

function plotlyMissing(script) {
  const name = script.getAttribute("src").split("/").pop();
  for (const chart of charts) fill(chart.element, el("p", { class: "waiting" },
    `This chart needs ${name}, which lies in the folder of results where this page was written. The tables need nothing.`));
}

dark.addEventListener("change", drawAll);
addEventListener("DOMContentLoaded", () => {
  const script = document.querySelector("script[data-plotly]");
  window.Plotly ? drawAll() : script.addEventListener("load", drawAll);
  if (script.getAttribute("src")) script.addEventListener("error", () => plotlyMissing(script));
});
