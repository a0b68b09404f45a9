// The page: puts the parts together and keeps them told.

import { follow } from "./api.js";
import { tabs } from "./dom.js";
import { OmnisendPane, SourcePane, TroublePane } from "./panes.js";
import { Slack } from "./slack.js";

const by = (id) => document.getElementById(id);

// --- light and dark

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("sandbox-theme", theme);
  by("theme").textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme];
  by("theme").setAttribute("aria-label", `Colours: ${theme}. Change`);
}

setTheme(localStorage.getItem("sandbox-theme") ?? "auto");
by("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));

// --- narrow screens

for (const [button, name] of [["open-menu", "menu-open"], ["open-panes", "panes-open"]]) {
  by(button).addEventListener("click", () => {
    const open = document.body.classList.toggle(name);
    by(button).setAttribute("aria-expanded", String(open));
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  document.body.classList.remove("menu-open", "panes-open");
  for (const button of ["open-menu", "open-panes"]) by(button).setAttribute("aria-expanded", "false");
});

// --- the parts

const slack = new Slack();
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
