// The side of the page: who one is, and where one can go.

import { h, reconcile } from "./dom.js";
import { icon } from "./icons.js";
import { avatar } from "./messages.js";
import { APP, LOCALES } from "./world.js";

const by = (id) => document.getElementById(id);

export class Sidebar {
  /** `become(id)`, `speak(locale)` and `go(place)` do what a person asks for. */
  constructor({ world, unread, become, speak, go }) {
    this.world = world;
    this.unread = unread;
    by("people").addEventListener("change", (event) => become(event.target.value));
    by("locale").addEventListener("change", (event) => speak(event.target.value));
    by("sidebar").addEventListener("click", (event) => {
      const entry = event.target.closest("[data-place]");
      if (entry) go(entry.dataset.place);
    });
  }

  show(current) {
    const { world } = this;
    by("team-name").textContent = `${world.team.name} sandbox`;
    this.showPeople();
    this.showLocales();
    list(by("channels"), world.joined.map((one) => [one.id, one.name, icon(one.kind === "private" ? "lock" : "hash")]), current);
    list(by("direct"), world.direct.map((one) => [one.id, world.conversationName(one), icon("people")]), current);
    by("direct-head").hidden = !world.direct.length;
    list(by("apps"), [[APP, world.bot.real_name, icon("app")]], current);
    this.badges();
  }

  showPeople() {
    const { world } = this;
    reconcile(by("people"), world.humans.map((one) => ({
      key: one.id,
      signature: JSON.stringify(one),
      make: () => h("label", { class: "person" },
        h("input", { type: "radio", name: "person", value: one.id, "aria-label": `${one.real_name} (${role(one)})`, data: { focus: `person ${one.id}` } }),
        avatar(one, one.real_name, "small"), h("span", { class: "name" }, one.real_name), h("span", { class: "muted small role" }, role(one)), h("span", { class: "badge", data: { person: one.id } })),
    })));
    by("people").querySelector(`[value="${world.me.id}"]`).checked = true;
  }

  showLocales() {
    const { world } = this;
    const locales = LOCALES.includes(world.locale) ? LOCALES : [world.locale, ...LOCALES];
    reconcile(by("locale"), locales.map((one) => ({ key: one, signature: one, make: () => h("option", { value: one }, localeName(one, locales)) })));
    by("locale").value = world.locale;
  }

  /** The numbers of what was not looked at yet: at places, and at the other people. */
  badges() {
    const { world, unread } = this;
    for (const button of by("sidebar").querySelectorAll("[data-place]")) {
      const { place } = button.dataset;
      const count = unread.of(world.me.id, place === APP ? world.directChannel(world.me.id) : place);
      number(button.querySelector(".badge"), count, `${count} new`);
      button.classList.toggle("unread", count > 0);
    }
    const others = world.humans.filter((one) => one.id !== world.me.id && unread.direct(one.id));
    for (const badge of by("people").querySelectorAll(".badge")) {
      const other = others.find((one) => one.id === badge.dataset.person);
      number(badge, other ? unread.direct(other.id) : 0, "");
    }
    const text = others.map((one) => `${one.real_name} has ${counted(unread.direct(one.id))}.`).join(" ");
    if (by("elsewhere").textContent !== text) by("elsewhere").textContent = text;
  }
}

const NAMES = new Intl.DisplayNames(["en"], { type: "language", style: "short" });

/** A language by its name, with the country where several of it are offered. */
function localeName(locale, all) {
  const language = locale.split("-", 1)[0];
  return NAMES.of(all.filter((one) => one.startsWith(`${language}-`)).length > 1 ? locale : language);
}

function counted(count) {
  return `${count} new direct ${count === 1 ? "message" : "messages"}`;
}

function number(badge, count, label) {
  badge.textContent = count > 99 ? "99+" : count || "";
  badge.hidden = !count;
  if (label) badge.setAttribute("aria-label", label);
  else badge.setAttribute("aria-hidden", "true"); // said in words by #elsewhere
}

function list(container, entries, current) {
  reconcile(container, entries.map(([place, name, sign]) => ({
    key: place,
    signature: JSON.stringify([name, place === current]),
    make: () => h("li", {}, h("button", { type: "button", class: "place", "aria-current": place === current ? "page" : null, data: { place, focus: `place ${place}` } },
      h("span", { class: "sign" }, sign), h("span", { class: "name" }, name), h("span", { class: "badge", role: "img" }))),
  })));
}

function role(person) {
  if (person.is_owner) return "owner";
  if (person.is_admin) return "admin";
  return person.is_restricted ? "guest" : "member";
}
