// Modals: the visible one of the stack in a dialog, and the questions that buttons ask first. A modal covers what stands
// for Slack's window, and Tab stays in it. Backstage is beside that window, so it stays within reach, of the mouse and of
// F6 (see regions.js): what an app asks for may be found there.

import { showBlocks } from "./blocks.js";
import { h, tabStops } from "./dom.js";
import { icon } from "./icons.js";
import { plainWords, words } from "./words.js";

/** Ask what a `confirm` object asks; whether it was confirmed. Without one there is nothing to ask. */
export function confirmed(question, world) {
  if (!question) return Promise.resolve(true);
  const dialog = document.getElementById("confirm");
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", value: "yes", class: `button ${question.style === "danger" ? "danger solid" : "primary"}` }, plainWords(question.confirm) || "Yes");
    const no = h("button", { type: "submit", value: "no", class: "button" }, plainWords(question.deny) || "Cancel");
    dialog.replaceChildren(h("form", { method: "dialog" },
      h("header", { class: "modal-head" }, h("h2", { id: "confirm-title" }, plainWords(question.title) || "Are you sure?")),
      h("div", { class: "modal-body", id: "confirm-text" }, words(question.text, world)),
      h("footer", { class: "modal-foot" }, no, yes)));
    dialog.returnValue = "no";
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
    no.focus();
  });
}

const COVERED = ["sidebar", "stage", "thread"];

/** The dialog that shows the stack of modals. `place()` makes the place its elements stand in. */
export class Modals {
  constructor(actions) {
    this.actions = actions;
    this.dialog = document.getElementById("modal");
    this.stack = [];
    this.shown = null; // id of the view that is built up in the dialog
    this.opener = null;
    this.last = null; // what had the focus in the dialog last
    this.dialog.addEventListener("focusin", (event) => {
      this.last = event.target;
    });
    this.dialog.addEventListener("keydown", (event) => this.keepTab(event));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !this.isOpen || !this.hasFocus || document.querySelector("dialog:modal")) return;
      event.preventDefault();
      this.leave();
    });
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Nothing else has it. */
  get hasFocus() {
    return document.activeElement === document.body || this.dialog.contains(document.activeElement);
  }

  /** Come back from elsewhere in the page. */
  enter() {
    (this.dialog.contains(this.last) ? this.last : this.title).focus();
  }

  /** Tab goes round in the dialog. */
  keepTab(event) {
    if (event.key !== "Tab" || event.defaultPrevented) return;
    const stops = tabStops(this.dialog);
    const onTheWay = event.shiftKey ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING;
    if (stops.some((one) => document.activeElement.compareDocumentPosition(one) & onTheWay)) return;
    event.preventDefault();
    stops.at(event.shiftKey ? -1 : 0).focus();
  }

  get top() {
    return this.stack.at(-1);
  }

  async leave(all = false) {
    const view = this.top;
    if (!view || this.leaving === view.id) return;
    this.leaving = view.id;
    try {
      await this.actions.close(all);
    } finally {
      this.leaving = null;
    }
  }

  /** Show the stack as it is now. */
  show(stack, world) {
    this.stack = stack;
    const view = this.top;
    if (!view) {
      this.shut();
      return;
    }
    if (this.leaving === view.id && !this.isOpen) return; // closed before the stand-in heard of it
    if (!this.isOpen) {
      this.opener = document.activeElement;
      this.cover(true);
      this.dialog.show();
    }
    const place = this.actions.place();
    const isNew = this.shown !== view.id;
    if (isNew) this.build(view, stack.length);
    this.title.textContent = plainWords(view.title);
    this.dialog.dataset.depth = stack.length;
    this.back.hidden = stack.length < 2;
    const below = plainWords(stack.at(-2)?.title);
    this.back.setAttribute("aria-label", `Return to ${below}`);
    this.depth.textContent = below && `Step ${stack.length}, back leads to “${below}”`;
    this.trouble.lastChild.textContent = view.trouble ?? "";
    this.trouble.hidden = !view.trouble;
    this.foot(view);
    showBlocks(this.body, view.blocks, { ...place, world }, { values: view.state.values, errors: view.errors });
    const idle = [this.title, this.dialog, document.body].includes(document.activeElement);
    if (isNew || idle) this.begin(view, isNew);
    this.showAlert();
    const wrong = JSON.stringify(view.errors);
    if (wrong !== this.wrong && wrong !== "{}") this.body.querySelector("[aria-invalid], .wrong input")?.focus();
    this.wrong = wrong;
  }

  /** Bring what went wrong into sight, once: it may stand far from the button that was pressed. */
  showAlert() {
    const alert = this.body.querySelector(".block-alert.error");
    if (alert && alert.textContent !== this.alerted) alert.scrollIntoView({ block: "nearest" });
    this.alerted = alert?.textContent ?? null;
  }

  build(view) {
    this.shown = view.id;
    this.wrong = "{}";
    this.title = h("h2", { id: "modal-title", tabindex: "-1" });
    this.depth = h("p", { class: "muted depth" });
    this.trouble = h("p", { class: "trouble", role: "alert" }, icon("warning"), h("span"));
    this.back = h("button", { type: "button", class: "plain icon-button back", onclick: () => this.leave() }, icon("back"));
    this.body = h("div", { class: "modal-body blocks" });
    this.footer = h("footer", { class: "modal-foot" });
    this.footKey = "";
    this.dialog.replaceChildren(
      h("header", { class: "modal-head" }, this.back, h("div", { class: "modal-titles" }, this.title, this.depth), h("button", { type: "button", class: "plain icon-button close", "aria-label": "Close all", title: "Close", onclick: () => this.leave(true) }, icon("close"))),
      this.trouble, this.body, this.footer);
  }

  foot(view) {
    const key = JSON.stringify([view.close, view.submit]);
    if (key === this.footKey) return;
    const hadFocus = this.footer.contains(document.activeElement);
    this.footKey = key;
    this.submitButton = view.submit && h("button", { type: "button", class: "button primary", id: "modal-submit", onclick: () => this.submit() }, plainWords(view.submit));
    this.footer.replaceChildren(
      h("button", { type: "button", class: "button", id: "modal-close", onclick: () => this.leave() }, view.close ? plainWords(view.close) : view.submit ? "Cancel" : "Close"),
      ...(this.submitButton ? [this.submitButton] : []));
    if (hadFocus) (this.submitButton ?? this.footer.firstElementChild).focus();
  }

  /**
   * Where the focus begins: the first field, or the title so that the text is read. Apps often open a modal that says
   * that something is coming, so this happens again for whoever has not moved since.
   */
  begin(view, isNew) {
    const asked = view.blocks.find((block) => block.element?.focus_on_load)?.block_id;
    const first = asked ? this.body.querySelector(`[data-focus^="${CSS.escape(asked)} "]`) : this.body.querySelector("input, textarea");
    (first ?? this.title).focus();
    if (isNew) this.body.scrollTop = 0;
  }

  async submit() {
    if (!this.submitButton || this.submitting) return;
    this.submitting = true;
    const button = this.submitButton;
    button.setAttribute("aria-busy", "true");
    try {
      await this.actions.submit();
    } finally {
      this.submitting = false;
      button.removeAttribute("aria-busy");
    }
  }

  /** Somebody else looks now: their modals are others. */
  forget() {
    this.shown = null;
  }

  shut() {
    this.shown = null;
    if (!this.isOpen) return;
    const elsewhere = !this.hasFocus;
    this.dialog.close();
    this.cover(false);
    if (elsewhere) return; // somebody is busy there
    const back = this.whereFrom();
    back.blur(); // Chromium gives the focus back by itself, but what is then typed can be lost
    back.focus({ preventScroll: true });
  }

  cover(on) {
    document.body.classList.toggle("modal-open", on);
    for (const id of COVERED) document.getElementById(id).inert = on;
  }

  /** What had the focus before, or what took its place meanwhile. */
  whereFrom() {
    const { opener } = this;
    const successor = opener?.dataset.focus && document.querySelector(`main [data-focus="${CSS.escape(opener.dataset.focus)}"]`);
    const known = opener?.isConnected && opener !== document.body ? opener : successor;
    return known || document.querySelector("#composer:not([hidden]) input") || document.getElementById("scroll");
  }
}
