// Backstage: switches for trouble, and the bot's own life.

import { post } from "../api.js";
import { h, reconcile } from "../dom.js";
import { announce, toast } from "../notices.js";
import { busy, card, show } from "./parts.js";

const by = (id) => document.getElementById(id);

const BOT_STATES = {
  starting: "The bot is starting…", running: "The bot is running.", stopped: "The bot was stopped.", killed: "The bot was killed.",
  ended: "The bot has ended by itself.",
};
const KILL = ["kill", "Kill", "danger"];
const ACTS = { running: [["restart", "Kill and restart", "danger"], KILL, ["stop", "Stop", ""]], starting: [KILL] };
const OTHERWISE = [["start", "Start", "primary"]];

export class TroublePane {
  constructor() {
    this.switches = h("ul", { class: "switches" });
    this.state = h("p", { class: "bot-state", role: "status" });
    this.words = h("div");
    this.buttons = h("div", { class: "row" });
    by("pane-trouble").append(
      h("p", { class: "lead" }, "Make trouble and see what the app makes of it."),
      card("Slack and Omnisend", this.switches),
      card("The bot", this.state, this.buttons, this.words));
  }

  house({ switches, bot }) {
    reconcile(this.switches, switches.map((one) => ({ key: one.name, signature: JSON.stringify(one), make: () => this.switch(one) })));
    this.state.textContent = `${BOT_STATES[bot.state]}${bot.starts > 1 ? ` Started ${bot.starts} times.` : ""}`;
    this.state.dataset.state = bot.state;
    reconcile(this.buttons, (ACTS[bot.state] ?? OTHERWISE).map(([act, label, style]) => ({
      key: act, signature: label, make: () => h("button", { type: "button", class: `button ${style}`, data: { focus: act }, onclick: (event) => this.bot(act, event.currentTarget) }, label),
    })));
    const last = bot.state === "ended" ? bot.log : "";
    show(this.words, last, () => last ? h("pre", { class: "log-end", tabindex: "0", role: "group", "aria-label": "End of the log" }, last) : h("div"));
    this.tellBanner(switches, bot);
  }

  tellBanner(switches, bot) {
    const on = switches.filter((one) => one.on).map((one) => `${one.title}.`);
    const told = [...(bot.state === "running" ? [] : [BOT_STATES[bot.state]]), ...on].join(" ");
    const banner = by("bot-banner");
    if (banner.textContent !== told) banner.textContent = told;
    banner.hidden = !told;
    by("tab-trouble").classList.toggle("troubled", Boolean(told));
  }

  switch(one) {
    const id = `switch-${one.name}`;
    return h("li", {},
      h("button", { type: "button", role: "switch", class: "switch", id, "aria-checked": String(one.on), "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-meaning`, data: { focus: id }, onclick: () => this.turn(one) }, h("span", { class: "knob", "aria-hidden": "true" })),
      h("span", {}, h("span", { id: `${id}-label` }, one.title), h("span", { class: "small muted", id: `${id}-meaning` }, one.meaning)));
  }

  async turn(one) {
    try {
      await post(`house/switches/${one.name}`, { on: !one.on });
      announce(`${one.title}: ${one.on ? "off" : "on"}`);
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  bot(act, button) {
    return busy(button, toast, () => post(`house/bot/${act}`));
  }
}
