// A box to choose from while one types, for one choice or several (WAI-ARIA Authoring Practices, Combobox pattern).

import { freshId, h } from "./dom.js";

const ASK_AFTER = 180; // milliseconds of silence before options are asked for

/**
 * Options are `{value, label, description, group}`.
 *
 * - `offer(query)`: the options for what was typed, at once or as a promise; may throw an Error to be shown.
 * - `choose(option[])`: told of all that is chosen, after each change.
 * - `labelledBy`, `describedBy`, `focusKey`, `placeholder`, `several`, `most`, `disabled`: as their names say.
 *
 * The element's `sync(option[])` shows what is chosen elsewhere.
 */
export function combobox({ offer, choose, labelledBy, label, describedBy, focusKey, placeholder, several = false, most }) {
  const listId = freshId("list");
  let chosen = [];
  let options = [];
  let active = -1;
  let asked = 0;
  let timer = 0;

  const list = h("ul", { id: listId, class: "options", role: "listbox", popover: "manual", "aria-multiselectable": several || null, "aria-label": label ?? "Options" });
  const input = h("input", {
    type: "text", role: "combobox", class: "combo-input", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": listId,
    "aria-labelledby": labelledBy, "aria-label": labelledBy ? null : label, "aria-describedby": describedBy, placeholder, autocomplete: "off", spellcheck: "false",
    data: { focus: focusKey },
  });
  const tokens = h("ul", { class: "tokens", "aria-label": "Chosen" });
  const box = h("div", { class: several ? "combo several" : "combo" }, several && tokens, input, h("span", { class: "combo-arrow", "aria-hidden": "true" }), list);

  const isOpen = () => input.getAttribute("aria-expanded") === "true";

  function place() {
    const edge = box.getBoundingClientRect();
    const below = window.innerHeight - edge.bottom - 12;
    const above = edge.top - 12;
    const upwards = below < 180 && above > below;
    const height = Math.min(320, upwards ? above : below);
    list.style.left = `${edge.left}px`;
    list.style.width = `${edge.width}px`;
    list.style.maxHeight = `${height}px`;
    list.style.top = upwards ? "auto" : `${edge.bottom + 4}px`;
    list.style.bottom = upwards ? `${window.innerHeight - edge.top + 4}px` : "auto";
  }

  function open() {
    if (isOpen()) return;
    input.setAttribute("aria-expanded", "true");
    list.showPopover();
    place();
    ask(several || !chosen.length || input.value !== chosen[0].label ? input.value : "");
  }

  function close() {
    if (!isOpen()) return;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    if (list.matches(":popover-open")) list.hidePopover();
    clearTimeout(timer);
    asked += 1;
    showChosen();
  }

  async function ask(query) {
    asked += 1;
    const mine = asked;
    let answer;
    try {
      answer = offer(query);
      if (answer instanceof Promise) {
        list.setAttribute("aria-busy", "true");
        if (!options.length) say("Searching…");
        answer = await answer;
      }
    } catch (error) {
      if (mine === asked) {
        options = [];
        say(error.message);
      }
      return;
    } finally {
      if (mine === asked) list.removeAttribute("aria-busy");
    }
    if (mine !== asked || !isOpen()) return;
    options = answer;
    active = -1;
    show();
  }

  function say(text) {
    list.replaceChildren(h("li", { class: "option-note", role: "option", "aria-disabled": "true" }, text));
    place();
  }

  function show() {
    if (!options.length) {
      say("Nothing found");
      return;
    }
    let group;
    const items = [];
    for (const [index, option] of options.entries()) {
      if (option.group && option.group !== group) items.push(h("li", { class: "option-group", role: "presentation" }, option.group));
      group = option.group;
      const isChosen = chosen.some((one) => one.value === option.value);
      items.push(h("li", { id: `${listId}-${index}`, role: "option", "aria-selected": String(isChosen), data: { index } },
        h("span", { class: "option-mark", "aria-hidden": "true" }, isChosen ? "✓" : ""),
        h("span", { class: "option-label" }, option.label),
        option.description && h("span", { class: "option-more" }, option.description)));
    }
    list.replaceChildren(...items);
    place();
  }

  function activate(index) {
    list.querySelector(".active")?.classList.remove("active");
    active = index;
    const item = list.querySelector(`[data-index="${index}"]`);
    if (!item) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    item.classList.add("active");
    item.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", item.id);
  }

  function take(option) {
    if (!option) return;
    if (!several) {
      chosen = [option];
      close();
    } else if (chosen.some((one) => one.value === option.value)) {
      chosen = chosen.filter((one) => one.value !== option.value);
    } else if (!most || chosen.length < most) {
      chosen = [...chosen, option];
    }
    changed();
  }

  function drop(option) {
    chosen = chosen.filter((one) => one !== option);
    changed();
    input.focus();
  }

  function changed() {
    if (several) input.value = "";
    showChosen();
    if (isOpen()) show();
    choose(chosen);
  }

  function showChosen() {
    if (!several) {
      input.value = chosen[0]?.label ?? "";
      return;
    }
    tokens.replaceChildren(...chosen.map((one) => h("li", { class: "token" }, one.label,
      h("button", { type: "button", class: "plain", "aria-label": `Remove ${one.label}`, onclick: () => drop(one) }, "×"))));
    input.placeholder = chosen.length ? "" : placeholder ?? "";
  }

  input.addEventListener("click", open);
  input.addEventListener("input", () => {
    open();
    clearTimeout(timer);
    timer = setTimeout(() => ask(input.value), ASK_AFTER);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen()) open();
      else if (options.length) activate((active + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length);
    } else if (event.key === "Enter" && isOpen()) {
      event.preventDefault();
      take(options[active] ?? (options.length === 1 ? options[0] : undefined));
    } else if (event.key === "Escape" && isOpen()) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Backspace" && several && !input.value && chosen.length) {
      chosen = chosen.slice(0, -1);
      changed();
    } else if (event.key === "Tab" && active >= 0) {
      take(options[active]);
    }
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the focus stays in the box
    const item = event.target.closest("[data-index]");
    if (item) take(options[Number(item.dataset.index)]);
  });

  box.sync = (now) => {
    if (JSON.stringify(now) === JSON.stringify(chosen)) return;
    chosen = now;
    if (!isOpen() || several) showChosen();
  };
  box.control = input;
  return box;
}

/** Options that hold what was typed, in label or description. */
export function matching(options, query) {
  const wanted = query.trim().toLocaleLowerCase();
  return options.filter((option) => `${option.label} ${option.description ?? ""}`.toLocaleLowerCase().includes(wanted));
}
