// What the panes backstage have in common.

import { h, reconcile } from "../dom.js";

const numbers = new Intl.NumberFormat("en");

export const number = (value) => numbers.format(value);

export function counted(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Replace what a part of a pane shows, if it differs. */
export function show(part, signature, make) {
  reconcile(part, [{ key: "only", signature, make }]);
}

/** A part of a pane under a heading of its own. */
export function card(title, ...inner) {
  return h("section", { class: "card" }, h("h3", {}, title), inner);
}

/** Names with numbers; behind each number a bar as long as its part of the largest. `rows` are [name, number, shown?]. */
export function measured(caption, head, rows) {
  const most = Math.max(1, ...rows.map(([, value]) => value ?? 0));
  return h("table", { class: "measured" }, h("caption", { class: "unseen" }, caption),
    h("thead", { class: "unseen" }, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([name, value, shown]) => h("tr", {},
      h("th", { scope: "row" }, name),
      h("td", {}, shown ?? number(value), h("meter", { min: 0, max: most, value: value ?? 0, "aria-hidden": "true" }))))));
}

export function nothing(text) {
  return h("p", { class: "muted small" }, text);
}

/** Do something that takes a moment; the button shows it meanwhile. What goes wrong goes to `tell`. */
export async function busy(button, tell, work) {
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    tell(error.message, "bad");
  } finally {
    button.removeAttribute("aria-busy");
  }
}
