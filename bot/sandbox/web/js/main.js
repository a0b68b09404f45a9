// The page: puts the parts together and keeps them told.

import { follow } from "./api.js";
import { tabs } from "./dom.js";
import { icon } from "./icons.js";
import { OmnisendPane } from "./panes/omnisend.js";
import { SourcePane } from "./panes/source.js";
import { TroublePane } from "./panes/trouble.js";
import { regions } from "./regions.js";
import { Slack } from "./slack.js";

const by = (id) => document.getElementById(id);

for (const place of document.querySelectorAll("[data-icon]")) place.prepend(icon(place.dataset.icon));

const slack = new Slack();

// --- light and dark

const THEMES = { auto: ["system", "as the system"], light: ["light", "light"], dark: ["dark", "dark"] };

function setTheme(theme) {
  const [sign, said] = THEMES[theme];
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("sandbox-theme", theme);
  by("theme").replaceChildren(icon(sign));
  by("theme").setAttribute("aria-label", `Colours: ${said}. Change`);
  by("theme").title = `Colours: ${said}`;
}

const kept = localStorage.getItem("sandbox-theme");
setTheme(kept in THEMES ? kept : "auto");
by("theme").addEventListener("click", () => {
  const all = Object.keys(THEMES);
  setTheme(all[(all.indexOf(document.documentElement.dataset.theme) + 1) % all.length]);
});

// --- the sides: where there is room the panes stand open, elsewhere they are opened over the rest

const wide = matchMedia("(min-width: 1181px)");
const SIDES = { "open-menu": "menu-open", "open-panes": "panes-open" };

function turnSide(button, open) {
  document.body.classList.toggle(SIDES[button], open);
  if (button === "open-panes") document.body.classList.toggle("panes-shut", wide.matches && !open);
  by(button).setAttribute("aria-expanded", String(open));
}

const isOpen = (button) => by(button).getAttribute("aria-expanded") === "true";

for (const button of Object.keys(SIDES)) {
  by(button).addEventListener("click", () => {
    const inTheWay = button === "open-panes" && slack.thread.isOpen; // a thread lies where the panes are
    if (inTheWay) slack.thread.close({ refocus: false });
    turnSide(button, inTheWay || !isOpen(button));
  });
}
const arrange = () => {
  turnSide("open-menu", false);
  turnSide("open-panes", wide.matches);
};
wide.addEventListener("change", arrange);
arrange();

regions({
  modals: slack.modals,
  showPanes: (on) => {
    if (on) slack.thread.close({ refocus: false });
    if (on || !wide.matches) turnSide("open-panes", on);
  },
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || wide.matches) return;
  for (const button of Object.keys(SIDES)) {
    if (!isOpen(button)) continue;
    event.preventDefault();
    turnSide(button, false);
    by(button).focus();
  }
});
by("sidebar").addEventListener("click", (event) => {
  if (event.target.closest("[data-place]")) turnSide("open-menu", false);
});

// --- the parts

const panes = { omnisend: new OmnisendPane(), source: new SourcePane(), trouble: new TroublePane() };

tabs(by("pane-tabs"), (tab) => {
  for (const name of Object.keys(panes)) by(`pane-${name}`).hidden = tab.id !== `tab-${name}`;
});

follow({
  connected: (is) => {
    by("connection-lost").hidden = is;
  },
  slack: ({ changes }) => slack.changed(changes),
  omnisend: (told) => panes.omnisend.tick(told),
  house: (told) => [panes.omnisend, panes.trouble].forEach((pane) => pane.house(told)),
  source: (told) => panes.source.told(told),
});
