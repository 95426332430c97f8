// A table whose columns sort and filter, with the mouse and with the keys.

/**
 * Args: `columns`, each with `name`, `value(row)`, and maybe `title`, `show(row)` (a text or an element), `numeric`
 * and `down` (sorted downwards first); `key(row)`; `caption`; `changed(rows)`, called with the rows that a filter
 * leaves; `filters` (whether there are any); `rowClass(row)`; `step`, how many rows are shown at first.
 */
class DataTable {
  constructor(options) {
    Object.assign(this, { filters: true, step: 100, rowClass: () => "", changed: () => {} }, options);
    this.texts = new Map();
    this.rows = [];
    this.shown = this.step;
    this.sorted = null;
    this.body = el("tbody");
    this.head = el("thead");
    this.more = el("p", { class: "more" });
    this.status = el("p", { class: "status", role: "status" });
    this.clear = el("button", { type: "button", onclick: () => this.setFilters({}, true) }, "Clear filters");
    const frame = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": this.caption },
      el("table", {}, el("caption", { class: "hidden" }, this.caption), this.head, this.body));
    const bar = this.filters ? el("div", { class: "bar" }, this.status, this.clear) : null;
    this.element = el("div", { class: "data-table" }, bar, frame, this.more);
  }

  /** Show other rows, and other columns, if need be; sorting and filters stay. */
  update(rows, columns = this.columns) {
    this.rows = rows;
    const names = columns.map((column) => column.name).join("\n");
    this.columns = columns;
    if (names !== this.names) this.drawHead();
    this.names = names;
    this.apply();
  }

  /** Replace the filters of some columns, or all of them. */
  setFilters(texts, all = false) {
    if (all) this.texts.clear();
    for (const [name, text] of Object.entries(texts)) text ? this.texts.set(name, text) : this.texts.delete(name);
    for (const input of this.head.querySelectorAll("input")) input.value = this.texts.get(input.dataset.column) || "";
    this.apply();
  }

  drawHead() {
    const sort = (column) => el("th", { scope: "col", "data-column": column.name, class: column.numeric ? "number" : null },
      el("button", { type: "button", class: "sort", title: column.title || null, onclick: () => this.sort(column) }, column.label || column.name));
    const filter = (column) => el("td", {}, column.unfiltered ? null : el("input", {
      type: "text", "data-column": column.name, "aria-label": `Filter ${column.label || column.name}`, title: FILTER_HELP, spellcheck: "false",
      autocomplete: "off", value: this.texts.get(column.name), placeholder: column.numeric ? "a..b" : "text",
      oninput: (event) => this.setFilters({ [column.name]: event.target.value.trim() && event.target.value }) }));
    fill(this.head, el("tr", {}, this.columns.map(sort)), this.filters ? el("tr", { class: "filters" }, this.columns.map(filter)) : null);
  }

  sort(column) {
    const again = this.sorted && this.sorted.name === column.name;
    this.sorted = { name: column.name, down: again ? !this.sorted.down : Boolean(column.down) };
    this.draw();
  }

  apply() {
    const tests = [];
    for (const column of this.columns) {
      const text = this.texts.get(column.name), input = this.head.querySelector(`input[data-column="${CSS.escape(column.name)}"]`);
      const test = text ? parseFilter(text, column.numeric) : undefined;
      if (input) input.setAttribute("aria-invalid", String(test === null));
      if (test) tests.push((row) => test(column.value(row)));
    }
    this.left = this.rows.filter((row) => tests.every((test) => test(row)));
    this.draw();
    this.changed(this.left);
  }

  draw() {
    const by = this.sorted && this.columns.find((column) => column.name === this.sorted.name);
    const rows = by ? [...this.left].sort((a, b) => compare(by.value(a), by.value(b), this.sorted.down)) : this.left;
    for (const th of this.head.querySelectorAll("th")) {
      const on = by && th.dataset.column === by.name;
      on ? th.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending") : th.removeAttribute("aria-sort");
    }
    const focused = this.body.contains(document.activeElement) && document.activeElement.closest("tr").dataset.key;
    fill(this.body, rows.slice(0, this.shown).map((row) => this.drawRow(row)));
    if (focused) this.body.querySelector(`tr[data-key="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
    fill(this.status, `${this.left.length.toLocaleString("en")} of ${count(this.rows.length, this.noun || "row")}`);
    this.clear.hidden = !this.texts.size;
    const hidden = rows.length - this.shown;
    fill(this.more, hidden > 0 ? el("button", { type: "button", onclick: () => { this.shown = Infinity; this.draw(); } },
      `Show ${count(hidden, "more row").replace("more rows", "more")}`) : null, hidden > 0 ? el("span", { class: "on-paper" }, `${hidden.toLocaleString("en")} more are not shown here.`) : null);
  }

  drawRow(row) {
    return el("tr", { "data-key": this.key(row), class: this.rowClass(row) || null }, this.columns.map((column) => {
      const shown = column.show ? column.show(row) : column.value(row);
      return el("td", { class: column.numeric ? "number" : null }, shown == null ? "" : typeof shown === "number" ? short(shown) : shown);
    }));
  }

  /** Mark some rows anew, without drawing the others. */
  mark() {
    const rows = new Map(this.rows.map((row) => [String(this.key(row)), row]));
    for (const tr of this.body.children) tr.className = this.rowClass(rows.get(tr.dataset.key)) || "";
  }
}
