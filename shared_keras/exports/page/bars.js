// A bar for each class and each model.

function made(parent, tag, kind, text = "") {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  parent.append(element);
  return element;
}

function percent(share) {
  return `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`;
}

class Bars {
  constructor(parent, classes, networks) {
    parent.classList.toggle("two", networks.length > 1);
    if (networks.length > 1) {
      const legends = made(parent, "div", "legends");
      networks.forEach((network, i) => {
        const legend = made(legends, "span", i ? "legend second" : "legend");
        made(legend, "i", "");
        legend.append(network.name);
      });
    }
    this.rows = classes.map((name) => {
      const row = made(parent, "div", "row");
      const label = made(row, "span", "name", name);
      const tracks = made(row, "div", "tracks");
      const bars = networks.map(() => made(made(tracks, "div", "track"), "div", "bar"));
      return { row, label, bars, percent: made(row, "span", "percent") };
    });
  }

  // Shows the probabilities of each model, or nothing.
  show(answers) {
    const best = answers && answers[0].indexOf(Math.max(...answers[0]));
    this.rows.forEach(({ row, bars, percent: text }, i) => {
      row.classList.toggle("likeliest", i === best);
      bars.forEach((bar, m) => { bar.style.width = answers ? `${100 * answers[m][i]}%` : "0"; });
      text.textContent = answers ? answers.map((answer) => percent(answer[i])).join("\n") : "";
    });
  }
}
