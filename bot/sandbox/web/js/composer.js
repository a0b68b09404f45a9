// The box in which people type commands and messages. What can be typed comes from the app's manifest: the commands, and
// the words of their usage hints.

import { freshId, h } from "./dom.js";
import { icon } from "./icons.js";

/** The ways to go on that a usage hint names: `[run NAME | help]` gives `run` (then NAME) and `help`. */
export function usages(hint) {
  return (hint ?? "").replace(/^\[|\]$/g, "").split("|").map((part) => part.trim()).filter(Boolean).map((part) => {
    const words = part.split(/\s+/);
    const slots = words.findIndex((word) => /^[A-Z<[]/.test(word));
    return { words: (slots < 0 ? words : words.slice(0, slots)).join(" "), rest: slots < 0 ? "" : words.slice(slots).join(" ") };
  });
}

/** What may be meant by what was typed so far: `{text, shown, more}`, `text` being what the box would hold. */
export function completions(typed, commands) {
  if (!typed.startsWith("/")) return [];
  const [name] = typed.split(/\s/, 1);
  const command = commands.find((one) => one.command === name);
  if (!command || !typed.includes(" ")) {
    return commands.filter((one) => one.command.startsWith(typed)).map((one) => ({ text: `${one.command} `, shown: `${one.command} ${one.usage_hint ?? ""}`, more: one.description ?? "" }));
  }
  const rest = typed.slice(name.length).trimStart().toLowerCase();
  return usages(command.usage_hint)
    .filter((one) => one.words.startsWith(rest) && (one.words !== rest || one.rest))
    .map((one) => ({ text: `${name} ${one.words}${one.rest ? " " : ""}`, shown: `${name} ${one.words} ${one.rest}`.trim(), more: "" }))
    .filter((one) => one.text.trimEnd() !== typed.trimEnd());
}

const REMEMBERED = 30; // things sent that the arrow up brings back

export class Composer {
  /** Fills `form`. `send(text)` does it and gives a promise; `commands()` are those of the manifest, null where none works. */
  constructor(form, { send, commands = null }) {
    this.form = form;
    this.send = send;
    this.commands = commands;
    this.active = -1;
    this.offered = [];
    this.sent = [];
    this.build();
    form.addEventListener("submit", (event) => this.submit(event));
    this.input.addEventListener("keydown", (event) => this.key(event));
    if (!commands) return;
    this.input.addEventListener("input", () => this.offer());
    this.input.addEventListener("focus", () => this.offer());
    this.input.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("[role=option]");
      if (item) this.take(Number(item.dataset.index));
    });
  }

  build() {
    const id = this.form.id;
    const listId = `${id}-list`;
    const combobox = this.commands && { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": listId };
    this.input = h("input", { id: `${id}-input`, type: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, ...combobox });
    this.list = h("ul", { id: listId, class: "completions", role: "listbox", "aria-label": "Commands", hidden: true });
    this.hint = h("p", { id: `${id}-hint`, class: "hint" });
    this.form.append(
      h("div", { class: "composer-box" }, this.input, h("button", { class: "button primary send", type: "submit", "aria-label": "Send" }, icon("send"), h("span", {}, "Send"))),
      ...(this.commands ? [this.list] : []), this.hint);
  }

  /** Say where it sends to, and whether it can. */
  aim(label, allowed) {
    this.form.hidden = !allowed;
    this.input.setAttribute("aria-label", label);
    this.input.placeholder = this.commands ? `${label}, or type / for commands` : label;
  }

  offer() {
    this.offered = completions(this.input.value, this.commands());
    this.active = -1;
    this.input.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(...this.offered.map((one, index) =>
      h("li", { role: "option", id: freshId("completion"), "aria-selected": "false", data: { index } }, h("code", {}, one.shown), one.more && h("span", { class: "option-more" }, one.more))));
    this.show(this.offered.length > 0);
    if (!this.waiting) this.hint.textContent = this.offered.length ? "Tab completes, arrows choose, Enter sends." : "";
  }

  show(on) {
    this.list.hidden = !on;
    if (this.commands) this.input.setAttribute("aria-expanded", String(on));
  }

  close() {
    this.show(false);
    this.active = -1;
    this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const isOpen = !this.list.hidden && this.offered.length > 0;
    if (step && isOpen) {
      event.preventDefault();
      this.activate((this.active + step + this.offered.length) % this.offered.length);
    } else if (event.key === "ArrowUp" && !this.input.value && this.sent.length) {
      event.preventDefault();
      this.input.value = this.sent.at(-1); // to be sent again, or mended first
    } else if (event.key === "Tab" && !event.shiftKey && isOpen) {
      event.preventDefault();
      this.take(Math.max(0, this.active));
    } else if (event.key === "Enter" && this.active >= 0) {
      event.preventDefault();
      this.take(this.active);
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      this.close();
    }
  }

  activate(index) {
    this.active = index;
    for (const [at, item] of [...this.list.children].entries()) item.setAttribute("aria-selected", String(at === index));
    const item = this.list.children[index];
    item.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", item.id);
  }

  take(index) {
    this.input.value = this.offered[index].text;
    this.input.focus();
    this.offer();
  }

  async submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    this.sent = [...this.sent.slice(1 - REMEMBERED), text];
    this.input.value = "";
    if (this.commands) this.close();
    this.waiting = (this.waiting ?? 0) + 1;
    this.hint.textContent = text.startsWith("/") ? "Waiting for the app…" : "";
    try {
      if (!(await this.send(text)) && !this.input.value) this.input.value = text; // to be mended
    } finally {
      this.waiting -= 1;
      if (!this.waiting) this.hint.textContent = "";
    }
  }
}
