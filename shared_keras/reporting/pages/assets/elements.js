// Elements. Text from outside becomes a text node here, never HTML.

/** Make an element; strings among the children become text. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null));
  return made;
}

/** Put other children into an element. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null));
}

/** A list of names and what belongs to them. */
function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** A few large figures, each with what it is. */
function figures(pairs) {
  return el("div", { class: "figures" }, pairs.map(([value, name, note]) =>
    el("div", { class: "figure" }, el("b", {}, value), el("span", {}, name), note ? el("small", {}, note) : null)));
}

/** A labelled choice; `changed` is called with the value. */
function choice(label, values, value, changed) {
  const select = el("select", { onchange: () => changed(select.value) },
    values.map((each) => el("option", { value: each, selected: each === value }, each)));
  return el("label", { class: "choice" }, `${label} `, select);
}

/** Marks that say what a colour means: pairs of a class and a text. */
function legend(pairs) {
  return el("p", { class: "legend" }, pairs.map(([mark, text]) => el("span", {}, el("i", { class: mark }), text)));
}
