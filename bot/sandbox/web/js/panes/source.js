// Backstage: where the profiles come from, and what can happen to them.

import { post } from "../api.js";
import { h } from "../dom.js";
import { toast } from "../notices.js";
import { busy, card, measured, nothing, number, show } from "./parts.js";

const by = (id) => document.getElementById(id);

const CHANGES = [
  ["join", "Some join", "2 % of the profiles that are missing come in"],
  ["leave", "Some leave", "2 % of the profiles go"],
  ["edit", "Some are edited", "5 % get another first name"],
  ["break", "Break some emails", "1 % get an address that is none"],
  ["exodus", "Most leave", "60 % go: far more than usual"],
  ["reset", "Start over", "The data as it was at first"],
];

export class SourcePane {
  constructor() {
    this.profiles = h("div", { class: "part" });
    this.counts = h("div", { class: "part" });
    this.log = h("div", { class: "log", role: "log", "aria-label": "What was changed" });
    by("pane-source").append(
      h("p", { class: "lead" }, "Change the data, run again, and only the difference is sent."),
      this.profiles,
      card("Segments", this.counts),
      card("Change the data", h("ul", { class: "acts" }, CHANGES.map(([name, label, meaning]) => h("li", {},
        h("button", { type: "button", class: "button", "aria-describedby": `change-${name}`, onclick: (event) => this.change(name, event.currentTarget) }, label),
        h("span", { class: "small muted", id: `change-${name}` }, meaning))))),
      card("What was changed", this.log));
  }

  told({ profiles, segments, changes }) {
    show(this.profiles, String(profiles), () => h("p", { class: "shop" }, h("strong", {}, `${number(profiles)} profiles`), h("span", { class: "muted" }, "in the source")));
    show(this.counts, JSON.stringify(segments), () => measured("Segments of the source", ["Segment", "Members"], segments.map((one) => [
      one.name, one.members, one.members === null ? h("span", { class: "error", title: one.problem }, "can't be counted") : undefined])));
    show(this.log, JSON.stringify(changes), () => changes.length
      ? h("ul", {}, [...changes].reverse().map((text) => h("li", {}, text)))
      : nothing("Nothing yet."));
  }

  change(name, button) {
    return busy(button, toast, async () => toast((await post(`house/source/${name}`)).words));
  }
}
