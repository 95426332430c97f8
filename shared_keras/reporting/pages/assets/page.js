// The frame of a page: its head, its sections, and how it takes new data.

const AGAIN = 2000; // milliseconds from one look for new data to the next
const sections = new Map();
let latest = null, lookAgain = null; // what is shown; in how many milliseconds to look for more

/** Called by data.js. */
function show(data) {
  const text = JSON.stringify(data);
  if (text !== latest) {
    latest = text;
    document.title = data.title;
    render(data);
  } else if (data.under_way) drawHeader(data); // which says so if there has been no news for long
  lookAgain = data.under_way ? AGAIN : data.finished === false ? 5 * AGAIN : null;
}

/** Return the section of a name, made on first use; `note` says how to read it. */
function section(id, name, note) {
  if (!sections.has(id)) {
    const body = el("div", { class: "body" });
    const made = el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, name),
      note ? el("p", { class: "note" }, note) : null, body);
    document.getElementById("main").append(made);
    document.getElementById("nav").append(el("a", { href: `#${id}` }, name));
    sections.set(id, body);
  }
  return sections.get(id);
}

/** Show or hide a section. */
function present(id, there) {
  document.getElementById(id).hidden = !there;
  document.querySelector(`nav a[href="#${id}"]`).hidden = !there;
}

/** Load data.js again and again, while there may be more. A script tag works from files, too. */
function follow() {
  if (!document.querySelector('script[src="data.js"]')) return; // all is in the page
  const again = () => {
    const script = el("script", { src: `data.js?${Date.now()}` });
    script.onload = script.onerror = () => { script.remove(); next(); };
    document.body.append(script);
  };
  const next = () => lookAgain && setTimeout(again, lookAgain);
  next();
}
addEventListener("DOMContentLoaded", follow);
