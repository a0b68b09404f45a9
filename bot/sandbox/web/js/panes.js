// Backstage: what Omnisend holds, what the source holds, and the switches for trouble.

import { get, post } from "./api.js";
import { rateChart } from "./charts.js";
import { announce, coalesced, h, reconcile, toast } from "./dom.js";

const number = new Intl.NumberFormat("en");
const LENGTH = 60; // seconds that the chart shows
const PAGE = 10; // contacts
const by = (id) => document.getElementById(id);

function table(caption, head, rows) {
  return h("table", {}, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, head.map((text, at) => h("th", { scope: "col", class: at ? "align-right" : null }, text)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((one) => h("td", { class: "align-right" }, one))))));
}

function counted(count, noun) {
  return `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Replace what a part of a pane shows, if it differs. */
function show(part, signature, make) {
  reconcile(part, [{ key: "only", signature, make }]);
}

// --- Omnisend

export class OmnisendPane {
  constructor() {
    this.samples = [];
    this.limit = 400;
    this.query = "";
    this.offset = 0;
    this.seen = "";
    this.readContacts = coalesced(() => this.fetchContacts());
    this.parts = Object.fromEntries(["key", "facts", "segments", "rate", "batches", "contacts"].map((name) => [name, h("div", { class: `part ${name}` })]));
    const search = h("input", { type: "search", id: "contact-search", placeholder: "Email, name or property", autocomplete: "off",
      oninput: () => {
        this.query = search.value;
        this.offset = 0;
        this.readContacts();
      } });
    by("pane-omnisend").append(
      this.parts.key, this.parts.facts,
      h("h3", {}, "Segments"), this.parts.segments,
      h("h3", {}, "Requests per minute"), this.parts.rate,
      h("h3", {}, "Batches"), this.parts.batches,
      h("h3", {}, "Contacts"), h("label", { class: "unseen", for: "contact-search" }, "Search contacts"), search, this.parts.contacts);
  }

  house({ omnisend }) {
    this.limit = omnisend.limit;
    this.scale = omnisend.time_scale;
    show(this.parts.key, omnisend.key, () => h("div", { class: "note" },
      h("p", {}, "The shop's API key. It opens nothing but this sandbox:"),
      h("p", { class: "row" }, h("code", { id: "api-key" }, omnisend.key), h("button", { type: "button", class: "button", onclick: () => copy(omnisend.key) }, "Copy"))));
  }

  tick({ brands, requests_by_status: statuses, segments }) {
    const brand = brands[0];
    const rate = brand.requests_per_minute;
    this.samples = [...this.samples.slice(1 - LENGTH), { accepted: rate.accepted_now, offered: rate.offered_now }];
    const facts = [counted(brand.contacts, "contact"), counted(brand.segments, "segment")].join(" · ");
    show(this.parts.facts, `${brand.brand} ${facts}`, () => h("p", {}, h("strong", {}, brand.brand), h("br"), facts));
    this.showSegments(segments);
    this.showRate(rate, statuses);
    this.showBatches(brand);
    const seen = JSON.stringify([brand.contacts, brand.items]);
    if (seen !== this.seen) this.readContacts();
    this.seen = seen;
  }

  showSegments(segments) {
    show(this.parts.segments, JSON.stringify(segments.map((one) => [one.name, one.members, one.status])), () => segments.length
      ? table("Segments at Omnisend", ["Segment", "Contacts"], segments.map((one) => [one.name, number.format(one.members)]))
      : h("p", { class: "muted" }, "None yet."));
  }

  showRate(rate, statuses) {
    const refused = statuses["429"] ? ` · refused (429): ${number.format(statuses["429"])}` : "";
    const failed = Object.entries(statuses).filter(([status]) => status.startsWith("5")).reduce((sum, [, count]) => sum + count, 0);
    const clock = !this.scale || this.scale === 1 ? "" : ` Its clock runs ${this.scale}× as fast here.`;
    this.parts.rate.replaceChildren(
      rateChart(this.samples, this.limit, LENGTH),
      h("p", { class: "small" }, `Now ${number.format(rate.accepted_now)} of ${this.limit}, most so far ${number.format(rate.accepted_peak)}${refused}${failed ? ` · failed (5xx): ${number.format(failed)}` : ""}.`),
      h("p", { class: "small muted" }, `The dashed line is Omnisend's limit.${clock}`));
  }

  showBatches(brand) {
    const states = Object.entries(brand.batches);
    show(this.parts.batches, JSON.stringify(states), () => states.length
      ? table("Batches by state", ["State", "Batches"], states.map(([state, count]) => [state, number.format(count)]))
      : h("p", { class: "muted" }, "None yet."));
  }

  async fetchContacts() {
    const query = new URLSearchParams({ format: "json", q: this.query, limit: PAGE, offset: this.offset });
    const { total, contacts } = await get(`omnisend/contacts?${query}`);
    this.parts.contacts.replaceChildren(
      h("p", { class: "small muted", role: "status" }, total ? `${number.format(this.offset + 1)}–${number.format(Math.min(total, this.offset + PAGE))} of ${number.format(total)}` : "No contact."),
      h("ul", { class: "contacts-list" }, contacts.map(contact)),
      h("div", { class: "row" },
        h("button", { type: "button", class: "button", disabled: this.offset === 0, onclick: () => this.page(-PAGE) }, "Previous"),
        h("button", { type: "button", class: "button", disabled: this.offset + PAGE >= total, onclick: () => this.page(PAGE) }, "Next")));
  }

  page(step) {
    this.offset = Math.max(0, this.offset + step);
    this.readContacts();
  }
}

function contact(one) {
  const name = [one.firstName, one.lastName].filter(Boolean).join(" ");
  const facts = { ...one, ...one.customProperties };
  const hidden = new Set(["id", "brand", "email", "customProperties", "statusHistory", "consents", "tags", "welcomeMessages", "phone"]);
  const status = one.statusHistory.at(-1)?.status;
  return h("li", {}, h("details", {},
    h("summary", {}, h("span", { class: "contact-email" }, one.email ?? one.phone), name && h("span", { class: "muted" }, name)),
    h("dl", {}, status && [h("dt", {}, "status"), h("dd", {}, status)], Object.entries(facts).filter(([key]) => !hidden.has(key)).map(([key, value]) => [h("dt", {}, key), h("dd", {}, String(value))]))));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(by("api-key"));
    toast("The key is selected: copy it with the keyboard.");
  }
}

// --- source

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
    this.counts = h("div", { class: "part" });
    this.log = h("ol", { class: "log", "aria-live": "polite" });
    by("pane-source").append(
      h("p", {}, "Where the profiles come from. Change the data, run again, and only the difference is sent."),
      this.counts,
      h("h3", {}, "Change the data"),
      h("ul", { class: "acts" }, CHANGES.map(([name, label, meaning]) => h("li", {},
        h("button", { type: "button", class: "button", "aria-describedby": `change-${name}`, onclick: (event) => this.change(name, event.currentTarget) }, label), h("span", { class: "small muted", id: `change-${name}` }, meaning)))),
      h("h3", {}, "What was changed"), this.log);
  }

  told(source) {
    show(this.counts, JSON.stringify([source.profiles, source.segments]), () => h("div", {},
      h("p", {}, h("strong", {}, number.format(source.profiles)), " profiles"),
      table("Segments of the source", ["Segment", "Members"], source.segments.map((one) => [one.name, one.members === null ? h("span", { class: "error", title: one.problem }, "can't be counted") : number.format(one.members)]))));
    show(this.log, JSON.stringify(source.changes), () => h("li", { class: "log-list" }, source.changes.length ? h("ul", {}, [...source.changes].reverse().map((text) => h("li", {}, text))) : h("span", { class: "muted" }, "Nothing yet.")));
  }

  async change(name, button) {
    button.setAttribute("aria-busy", "true");
    try {
      toast((await post(`house/source/${name}`)).words);
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}

// --- trouble

const BOT_STATES = { starting: "The bot is starting…", running: "The bot is running.", stopped: "The bot was stopped.", killed: "The bot was killed.", ended: "The bot has ended by itself." };

export class TroublePane {
  constructor() {
    this.switches = h("ul", { class: "switches" });
    this.state = h("p", { role: "status" });
    this.words = h("div");
    this.buttons = h("div", { class: "row" });
    by("pane-trouble").append(
      h("p", {}, "Make trouble and see what the app makes of it."), this.switches,
      h("h3", {}, "The bot"), this.state, this.buttons, this.words);
  }

  house({ switches, bot }) {
    reconcile(this.switches, switches.map((one) => ({ key: one.name, signature: JSON.stringify(one), make: () => this.switch(one) })));
    const running = bot.state === "running";
    this.state.textContent = `${BOT_STATES[bot.state]}${bot.starts > 1 ? ` Started ${bot.starts} times.` : ""}`;
    reconcile(this.buttons, (running ? [["restart", "Kill and restart", "danger"], ["kill", "Kill", "danger"], ["stop", "Stop", ""]] : bot.state === "starting" ? [["kill", "Kill", "danger"]] : [["start", "Start", "primary"]]).map(([act, label, style]) => ({
      key: act, signature: label, make: () => h("button", { type: "button", class: `button ${style}`, data: { focus: act }, onclick: (event) => this.bot(act, event.currentTarget) }, label),
    })));
    show(this.words, bot.state === "ended" ? bot.log : "", () => bot.state === "ended" ? h("pre", { class: "log-end", tabindex: "0", role: "group", "aria-label": "End of the log" }, bot.log) : h("div"));
    const on = switches.filter((one) => one.on).map((one) => one.title);
    const told = [...(running ? [] : [BOT_STATES[bot.state]]), ...on.map((title) => `${title}.`)].join(" ");
    const banner = by("bot-banner");
    if (banner.textContent !== told) banner.textContent = told;
    banner.hidden = !told;
  }

  switch(one) {
    const id = `switch-${one.name}`;
    return h("li", {}, h("button", { type: "button", role: "switch", class: "switch", id, "aria-checked": String(one.on), "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-meaning`, data: { focus: id }, onclick: () => this.turn(one) }, h("span", { class: "knob", "aria-hidden": "true" })),
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

  async bot(act, button) {
    button.setAttribute("aria-busy", "true");
    try {
      await post(`house/bot/${act}`);
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}
