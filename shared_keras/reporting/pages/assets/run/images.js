// The confusion matrix, whose cells show their images, and the hardest images.

/** An image of the one picture that holds all of them. */
function image(data, place, label) {
  const size = 56;
  return el("span", { class: "image", role: "img", "aria-label": label,
    style: `width:${size}px;height:${size}px;background-size:${size * data.columns}px auto;` +
      `background-position:${-size * (place % data.columns)}px ${-size * Math.floor(place / data.columns)}px` });
}

function drawConfusion(data) {
  const cells = new Map(data.cells.map((cell) => [`${cell.true},${cell.predicted}`, cell]));
  const wrong = Math.max(1, ...data.confusion.flatMap((row, i) => row.filter((_, j) => i !== j)));
  const panel = el("div", { class: "cell-images", "aria-live": "polite" }, el("p", { class: "note" }, data.images ? "Choose a cell to see its images." : "The predictions of this run were not kept, so its images cannot be shown."));
  const show = (i, j, button) => {
    const cell = cells.get(`${i},${j}`);
    button.closest("table").querySelector("[aria-pressed=true]")?.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", "true");
    fill(panel, el("h3", {}, i === j ? `${data.classes[i]}, right` : `${data.classes[i]}, taken for ${data.classes[j]}`),
      cell ? el("div", { class: "images" }, cell.images.map((each) => el("figure", {}, image(data, each.place, `Test image ${each.number}`),
        el("figcaption", {}, `#${each.number}`, data.seeds > 1 ? ` ${each.seeds} of ${data.seeds}` : "")))) : el("p", {}, "No images of this cell are in the page."),
      cell && data.confusion[i][j] > cell.images.length ? el("p", { class: "note" }, `The ${cell.images.length} of which the model is surest.`) : null);
  };
  const body = data.confusion.map((row, i) => el("tr", {}, el("th", { scope: "row" }, data.classes[i]), row.map((n, j) => {
    const text = Number.isInteger(n) ? n.toLocaleString("en") : n.toFixed(1), strength = i === j ? 0 : n / wrong;
    return el("td", { class: i === j ? "right" : null, style: strength ? `--strength:${Math.round(12 + 78 * Math.sqrt(strength))}%` : null },
      n ? el("button", { type: "button", "aria-pressed": "false", "aria-label": `${data.classes[i]} taken for ${data.classes[j]}: ${text}`, onclick: (event) => show(i, j, event.currentTarget) }, text) : "");
  })));
  section("confusion", "Confusion matrix", `Rows are true classes, columns what was predicted${data.seeds > 1 ? `; mean of ${data.seeds} seeds` : ""}.`).append(
    el("div", { class: "scroll wide", tabindex: 0, role: "region", "aria-label": "Confusion matrix" }, el("table", { class: "confusion" },
      el("thead", {}, el("tr", {}, el("td"), data.classes.map((name) => el("th", { scope: "col" }, el("span", {}, name))))), el("tbody", {}, body))), panel);
}

function drawHardest(data) {
  if (!data.hardest.length) return;
  section("hardest", "Hardest images", `The test images of the largest entropy${data.seeds > 1 ? ", in the mean of all seeds" : ""}; wrong ones are marked.`).append(
    el("div", { class: "images" }, data.hardest.map((each) => {
      const right = each.true === each.predicted, name = data.classes[each.true], said = data.classes[each.predicted];
      return el("figure", { class: right ? null : "wrong" }, image(data, each.place, `Test image ${each.number}: ${name}`),
        el("figcaption", {}, name, el("br"), right ? "right, " : `✗ ${said}, `, el("span", { class: "whole" }, percent(each.probability, 0))));
    })));
}
