// Plotly, in the colours of the page. A chart is drawn once Plotly is there, and again in other colours.

const RAMP = [[0, "#440154"], [0.25, "#3b528b"], [0.5, "#21918c"], [0.75, "#5ec962"], [1, "#fde725"]];
const charts = new Set();

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Text from outside for Plotly, which takes some HTML. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** A chart: `draw()` returns its `traces` and its `layout`. */
class Chart {
  constructor(label, draw, options = {}) {
    this.make = draw;
    this.element = el("div", { class: "chart", role: "img", "aria-label": label });
    if (options.height) this.element.style.height = `${options.height}px`;
    this.drawn = options.drawn;
    fill(this.element, el("p", { class: "waiting" }, "…"));
    charts.add(this);
  }

  draw() {
    const { traces, layout, height } = this.make();
    if (height) this.element.style.height = `${height}px`;
    const axis = { gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"), automargin: true };
    const whole = {
      font: { family: "inherit", size: 12, color: color("text") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 12, t: 36, b: 44 }, hovermode: "closest", uirevision: "kept",
      hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("text"), family: "inherit" } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } }, dragmode: "zoom", ...layout,
    };
    for (const name of Object.keys(whole).filter((key) => /^[xy]axis/.test(key))) whole[name] = { ...axis, ...whole[name] };
    const first = !this.element.classList.contains("js-plotly-plot");
    if (first) fill(this.element);
    Plotly.react(this.element, traces, whole, { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset" });
    if (first && this.drawn) this.drawn(this.element);
  }
}

/** Draw some charts, one after the other, so that the page answers in between. */
let chartQueue = [];
function drawSoon(some) {
  if (!window.Plotly) return; // all are drawn once it is there
  const idle = !chartQueue.length;
  for (const chart of some) if (!chartQueue.includes(chart)) chartQueue.push(chart);
  const next = () => {
    const chart = chartQueue[0];
    if (!chart) return;
    if (chart.element.isConnected) chart.draw();
    chartQueue.shift();
    chartQueue.length ? setTimeout(next) : document.documentElement.setAttribute("data-drawn", "");
  };
  if (idle && chartQueue.length) setTimeout(next);
}

const drawAll = () => drawSoon(charts);

function plotlyMissing(script) {
  const name = script.getAttribute("src").split("/").pop();
  for (const chart of charts) fill(chart.element, el("p", { class: "waiting" },
    `This chart needs ${name}, which lies in the folder of results where this page was written. The tables need nothing.`));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("DOMContentLoaded", () => {
  const script = document.querySelector("script[data-plotly]");
  window.Plotly ? drawAll() : script.addEventListener("load", drawAll);
  if (script.getAttribute("src")) script.addEventListener("error", () => plotlyMissing(script));
});
