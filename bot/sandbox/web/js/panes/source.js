// Backstage: where the profiles come from, and what can happen to them.

import { post } from "../api.js";
import { h } from "../dom.js";
import { toast } from "../notices.js";
import { busy, card, measured, nothing, number, show } from "./parts.js";

const by = (id) => document.getElementById(id);

export class SourcePane {
  constructor() {
    this.profiles = h("div", { class: "part" });
    this.counts = h("div", { class: "part" });
    this.signIn = h("div", { class: "part" });
    this.offers = h("div");
    this.log = h("div", { class: "log", role: "log", "aria-label": "What was changed" });
    by("pane-source").append(
      h("p", { class: "lead" }, "Change the data, run again, and only the difference is sent."),
      this.signIn,
      this.profiles,
      card("Segments", this.counts),
      card("Change the data", this.offers),
      card("What was changed", this.log));
  }

  told({ profiles, segments, problem, offers, changes, sign_in: signIn }) {
    show(this.signIn, JSON.stringify(signIn ?? null), () => h("div", {}, signIn ? this.signingIn(signIn) : []));
    show(this.offers, JSON.stringify(offers), () => h("ul", { class: "acts" }, offers.map(({ name, label, meaning }) => h("li", {},
      h("button", { type: "button", class: "button", "aria-describedby": `change-${name}`, onclick: (event) => this.change(name, event.currentTarget) }, label),
      h("span", { class: "small muted", id: `change-${name}` }, meaning)))));
    show(this.profiles, JSON.stringify([profiles, problem]), () => problem
      ? h("p", { class: "error", role: "alert" }, problem)
      : h("p", { class: "shop" }, h("strong", {}, `${number(profiles)} profiles`), h("span", { class: "muted" }, "in the source")));
    show(this.counts, JSON.stringify(segments), () => measured("Segments of the source", ["Segment", "Members"], segments.map((one) => [
      one.name, one.members, one.members === null ? h("span", { class: "error", title: one.problem }, "can't be counted") : undefined])));
    show(this.log, JSON.stringify(changes), () => changes.length
      ? h("ul", {}, [...changes].reverse().map((text) => h("li", {}, text)))
      : nothing("Nothing yet."));
  }

  /** In place of Microsoft's page for codes: the codes that wait, and whom to be. */
  signingIn({ codes, people }) {
    if (!codes.length) return card("Sign-in", nothing("Nobody is signing in. When the app shows a code, it can be answered here."));
    return codes.map((code) => {
      const person = h("select", { "aria-label": `Account for ${code}` }, people.map((one) => h("option", { value: one }, one)));
      const act = (action, label, style) => h("button", { type: "button", class: `button ${style}`, onclick: (event) => busy(event.currentTarget, toast, () => post("house/sign-in", { code, person: person.value, action })) }, label);
      return card("Sign-in", h("p", { class: "small" }, "The code ", h("code", {}, code), " waits. Answer it here, in place of Microsoft's page:"),
        person, h("p", { class: "row" }, act("approve", "Continue", "primary"), act("decline", "Cancel", "")));
    });
  }

  change(name, button) {
    return busy(button, toast, async () => toast((await post(`house/source/${name}`)).words));
  }
}
