// Short notices: at the edge of the page, and for those who listen to it.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const TOAST_TIME = 8000; // milliseconds

/** Where notices go: into a dialog beside which nothing can be reached, if one is open. */
function inReach(id) {
  const dialog = document.querySelector("dialog:modal");
  const place = document.getElementById(id);
  if (!dialog) return place;
  const inside = dialog.querySelector(`:scope > .${id}-inside`) ?? h("div", { class: `${place.className} ${id}-inside`, role: place.getAttribute("role"), "aria-live": "polite" });
  if (!inside.parentElement) dialog.append(inside);
  return inside;
}

/** Say something to those who listen to the page rather than look at it. */
export function announce(text) {
  const announcer = inReach("announcer");
  announcer.append(h("p", {}, text));
  while (announcer.children.length > 20) announcer.firstElementChild.remove();
}

/** A short notice at the edge of the page, which goes by itself. */
export function toast(text, kind = "info") {
  const note = h("div", { class: `toast ${kind}` }, h("span", {}, text), h("button", { class: "plain icon-button", type: "button", "aria-label": "Dismiss", onclick: () => note.remove() }, icon("close")));
  inReach("toasts").append(note);
  let left = setTimeout(() => note.remove(), TOAST_TIME);
  note.addEventListener("pointerenter", () => clearTimeout(left)); // whoever reads it keeps it
  note.addEventListener("pointerleave", () => {
    left = setTimeout(() => note.remove(), TOAST_TIME);
  });
}
