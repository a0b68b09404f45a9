// Backstage: what Omnisend has received.

import { get } from "../api.js";
import { rateChart } from "../charts.js";
import { coalesced, h } from "../dom.js";
import { icon } from "../icons.js";
import { toast } from "../notices.js";
import { card, counted, measured, nothing, number, show } from "./parts.js";

const LENGTH = 60; // seconds that the chart shows
const PAGE = 10; // contacts
const by = (id) => document.getElementById(id);

export class OmnisendPane {
  constructor() {
    this.samples = [];
    this.limit = 400;
    this.query = "";
    this.offset = 0;
    this.seen = "";
    this.readContacts = coalesced(() => this.fetchContacts());
    this.parts = Object.fromEntries(["key", "facts", "segments", "rate", "batches", "contacts"].map((name) => [name, h("div", { class: `part ${name}` })]));
    const search = h("input", {
      type: "search", id: "contact-search", placeholder: "Email, name or property", autocomplete: "off", "aria-label": "Search contacts",
      oninput: () => {
        this.query = search.value;
        this.offset = 0;
        this.readContacts();
      },
    });
    by("pane-omnisend").append(
      this.parts.key, this.parts.facts,
      card("Requests per minute", this.parts.rate),
      card("Segments", this.parts.segments),
      card("Batches", this.parts.batches),
      card("Contacts", h("div", { class: "search" }, icon("search"), search), this.parts.contacts));
  }

  house({ omnisend }) {
    this.limit = omnisend.limit;
    this.scale = omnisend.time_scale;
    show(this.parts.key, omnisend.key, () => h("div", { class: "note" },
      h("p", {}, "The shop's API key. It opens nothing but this sandbox:"),
      h("p", { class: "row" }, h("code", { id: "api-key" }, omnisend.key), h("button", { type: "button", class: "button small", onclick: () => copy(omnisend.key) }, icon("copy"), "Copy"))));
  }

  tick({ brands, requests_by_status: statuses, segments }) {
    const brand = brands[0];
    const rate = brand.requests_per_minute;
    this.samples = [...this.samples.slice(1 - LENGTH), { accepted: rate.accepted_now, offered: rate.offered_now }];
    const facts = [counted(brand.contacts, "contact"), counted(brand.segments, "segment")].join(" · ");
    show(this.parts.facts, `${brand.brand} ${facts}`, () => h("p", { class: "shop" }, h("strong", {}, brand.brand), h("span", { class: "muted" }, facts)));
    this.showSegments(segments);
    this.showRate(rate, statuses);
    this.showBatches(brand);
    const seen = JSON.stringify([brand.contacts, brand.items]);
    if (seen !== this.seen) this.readContacts();
    this.seen = seen;
  }

  showSegments(segments) {
    show(this.parts.segments, JSON.stringify(segments.map((one) => [one.name, one.members, one.status])), () => segments.length
      ? measured("Segments at Omnisend", ["Segment", "Contacts"], segments.map((one) => [one.name, one.members]))
      : nothing("None yet. The first run makes them."));
  }

  showRate(rate, statuses) {
    const failed = Object.entries(statuses).filter(([status]) => status.startsWith("5")).reduce((sum, [, count]) => sum + count, 0);
    const facts = [["Now", rate.accepted_now], ["Most", rate.accepted_peak], ["Limit", this.limit], ["Refused (429)", statuses["429"] ?? 0], ["Failed (5xx)", failed]];
    show(this.parts.rate, JSON.stringify([this.samples, facts]), () => h("div", {},
      rateChart(this.samples, this.limit, LENGTH),
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, number(value))))),
      this.scale && this.scale !== 1 && h("p", { class: "small muted" }, `Omnisend's clock runs ${this.scale}× as fast here.`)));
  }

  showBatches(brand) {
    const states = Object.entries(brand.batches);
    show(this.parts.batches, JSON.stringify(states), () => states.length
      ? measured("Batches by state", ["State", "Batches"], states)
      : nothing("None yet."));
  }

  async fetchContacts() {
    const query = new URLSearchParams({ format: "json", q: this.query, limit: PAGE, offset: this.offset });
    const { total, contacts } = await get(`omnisend/contacts?${query}`);
    const open = new Set([...this.parts.contacts.querySelectorAll("details[open]")].map((one) => one.dataset.email));
    const step = (by, label, disabled) => h("button", { type: "button", class: "button small", disabled, onclick: () => this.page(by) }, label);
    show(this.parts.contacts, JSON.stringify([total, this.offset, contacts]), () => h("div", {},
      h("ul", { class: "contacts-list" }, contacts.map((one) => contact(one, open.has(one.email)))),
      h("div", { class: "row pages" },
        h("span", { class: "small muted", role: "status" }, total ? `${number(this.offset + 1)}–${number(Math.min(total, this.offset + PAGE))} of ${number(total)}` : this.query ? "No contact is found." : "No contact yet."),
        total > PAGE && [step(-PAGE, "Previous", this.offset === 0), step(PAGE, "Next", this.offset + PAGE >= total)])));
  }

  page(step) {
    this.offset = Math.max(0, this.offset + step);
    this.readContacts();
  }
}

const UNSHOWN = new Set(["id", "brand", "email", "customProperties", "statusHistory", "consents", "tags", "welcomeMessages", "phone"]);

function contact(one, open) {
  const name = [one.firstName, one.lastName].filter(Boolean).join(" ");
  const status = one.statusHistory.at(-1)?.status;
  const facts = Object.entries({ ...(status ? { status } : {}), ...one, ...one.customProperties }).filter(([key]) => !UNSHOWN.has(key));
  return h("li", {}, h("details", { open, data: { email: one.email ?? "" } },
    h("summary", {}, h("span", { class: "contact-email" }, one.email ?? one.phone), name && h("span", { class: "muted" }, name)),
    h("dl", {}, facts.map(([key, value]) => [h("dt", {}, key), h("dd", {}, readable(value))]))));
}

/** A value as it is stored; a moment without what nobody reads of it. */
function readable(value) {
  const [, day, time] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/.exec(value) ?? [];
  return day ? `${day} ${time} UTC` : String(value);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    getSelection().selectAllChildren(by("api-key"));
    toast("The key is selected: copy it with the keyboard.");
  }
}
