// The interactive elements of blocks. What a person does with one goes to the stand-in, which keeps what is typed and
// chosen; what it then holds comes back through `sync`.

import { combobox, matching } from "./combobox.js";
import { freshId, h } from "./dom.js";
import { emoji, withEmoji } from "./emoji.js";
import { icon } from "./icons.js";
import { momentOf, wallClock } from "./moments.js";
import { plainWords, words } from "./words.js";

const TYPE_AFTER = 220; // milliseconds of silence before what was typed is told

// The key under which `state.values` holds what an element has (Slack docs, Interaction payloads).
const VALUE_KEYS = {
  plain_text_input: "value", email_text_input: "value", url_text_input: "value", number_input: "value",
  rich_text_input: "rich_text_value", static_select: "selected_option", external_select: "selected_option",
  radio_buttons: "selected_option", users_select: "selected_user", conversations_select: "selected_conversation",
  channels_select: "selected_channel", multi_static_select: "selected_options", multi_external_select: "selected_options",
  checkboxes: "selected_options", multi_users_select: "selected_users", multi_conversations_select: "selected_conversations",
  multi_channels_select: "selected_channels", datepicker: "selected_date", timepicker: "selected_time",
  datetimepicker: "selected_date_time",
};

/**
 * One element of a block. `place` is where it stands: `act(name, body)` acts there as the person, `world` knows people
 * and channels, `submit` is what Enter does. `names` are the ids of label and descriptions, where there are any.
 */
export function element(spec, block, place, names = {}) {
  const make = MAKERS[spec.type];
  if (!make) return h("span", { class: "muted" }, `(${spec.type} can't be shown here)`);
  const made = make(spec, block, place, { ...names, focusKey: `${block.block_id} ${spec.action_id}` });
  const key = VALUE_KEYS[spec.type];
  if (key) {
    made.dataset.control = "";
    made.syncState = (values) => made.sync(values?.[block.block_id]?.[spec.action_id]?.[key] ?? null);
  }
  return made;
}

/** Let every control within show what it holds, but for those whose news are still on their way. */
export function syncControls(container, values) {
  for (const control of container.querySelectorAll("[data-control]")) {
    if (!control.pending) control.syncState(values);
  }
}

function target(spec, block) {
  return { element: spec.action_id, block_id: block.block_id };
}

// --- buttons and menus

function button(spec, block, place, { focusKey }) {
  const made = h("button", {
    type: "button", class: `button ${spec.style ?? ""}`, "aria-label": spec.accessibility_label, title: spec.accessibility_label,
    data: { focus: focusKey },
    onclick: () => place.use(made, spec.confirm, (confirm) => place.act("click", { ...target(spec, block), confirm })),
  }, words(spec.text, place.world), spec.url && h("span", { class: "leads-out", "aria-hidden": "true" }, " ↗"));
  return made;
}

/** A button that is a picture; its text is what it is called. */
function iconButton(spec, block, place, names) {
  const made = button(spec, block, place, names);
  made.classList.add("icon");
  made.title = plainWords(spec.text);
  made.setAttribute("aria-label", spec.accessibility_label ?? made.title);
  made.replaceChildren(emoji(spec.icon) ?? spec.icon);
  return made;
}

function feedback(spec, block, place, names) {
  return h("span", { class: "row" }, [spec.positive_button, spec.negative_button].map((one) => button({ ...spec, ...one }, block, place, names)));
}

function overflow(spec, block, place, { focusKey }) {
  const menuId = freshId("menu");
  const items = () => [...menu.querySelectorAll("[role=menuitem]")];
  const close = (refocus) => {
    if (menu.matches(":popover-open")) menu.hidePopover();
    opener.setAttribute("aria-expanded", "false");
    if (refocus) opener.focus();
  };
  const menu = h("div", { id: menuId, role: "menu", class: "options menu", popover: "manual", "aria-label": "More actions" },
    spec.options.map((option) => h("button", {
      type: "button", role: "menuitem", tabindex: "-1",
      onclick: () => {
        close(true);
        if (option.url) window.open(option.url, "_blank", "noopener");
        place.use(opener, spec.confirm, (confirm) => place.act("choose", { ...target(spec, block), value: option.value ?? option.text.text, confirm }));
      },
    }, h("span", { class: "option-label" }, words(option.text, place.world)), option.description && h("span", { class: "option-more" }, words(option.description, place.world)))));
  const opener = h("button", {
    type: "button", class: "button icon", "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": menuId,
    "aria-label": `More actions${block.text ? `: ${withEmoji(block.text.text).replace(/[*_`]/g, "").split("\n")[0].slice(0, 80)}` : ""}`,
    data: { focus: focusKey },
    onclick: () => {
      if (menu.matches(":popover-open")) return close(true);
      menu.showPopover();
      const edge = opener.getBoundingClientRect();
      const size = menu.getBoundingClientRect();
      menu.style.left = `${Math.max(8, Math.min(edge.right - size.width, window.innerWidth - size.width - 8))}px`;
      menu.style.top = `${edge.bottom + size.height + 8 > window.innerHeight ? edge.top - size.height - 4 : edge.bottom + 4}px`;
      opener.setAttribute("aria-expanded", "true");
      items()[0].focus();
    },
  }, icon("more"));
  menu.addEventListener("keydown", (event) => {
    const order = items();
    const at = order.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) order[(at + step + order.length) % order.length].focus();
    else if (event.key === "Home") order[0].focus();
    else if (event.key === "End") order.at(-1).focus();
    else if (event.key === "Escape") close(true);
    else if (event.key === "Tab") return close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget) && event.relatedTarget !== opener) close(false);
  });
  return h("span", { class: "overflow" }, opener, menu);
}

// --- typing

function text(spec, block, place, { labelId, describedBy, focusKey }) {
  const multiline = spec.multiline || spec.type === "rich_text_input";
  const type = { email_text_input: "email", url_text_input: "url" }[spec.type] ?? "text";
  let timer = 0;
  let known = "";
  const tell = async (enter = false) => {
    clearTimeout(timer);
    if (input.value === known && !enter) return;
    known = input.value;
    input.pending = (input.pending ?? 0) + 1;
    try {
      await place.act("type", { ...target(spec, block), text: known, enter });
    } finally {
      input.pending -= 1;
    }
  };
  const input = h(multiline ? "textarea" : "input", {
    ...(multiline ? { rows: 3 } : { type, inputmode: spec.type === "number_input" ? "decimal" : null }),
    class: "text-input", "aria-labelledby": labelId, "aria-describedby": describedBy, maxlength: spec.max_length,
    placeholder: spec.placeholder ? plainWords(spec.placeholder) : null, autocomplete: "off", data: { focus: focusKey },
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => place.typing(tell()), TYPE_AFTER);
    },
    onblur: () => place.typing(tell()),
    onkeydown: (event) => {
      if (event.key !== "Enter" || multiline || event.isComposing) return;
      event.preventDefault();
      if (block.type !== "input" || block.dispatch_action) place.typing(tell(true));
      else place.submit?.();
    },
  });
  input.flush = tell;
  input.dataset.typed = "";
  input.sync = (value) => {
    const shown = typeof value === "object" && value ? richPlain(value) : value ?? "";
    if (document.activeElement === input && input.value !== known) return; // still typing
    if (document.activeElement === input && shown !== known) return;
    known = shown;
    if (input.value !== shown) input.value = shown;
  };
  return input;
}

function richPlain(value) {
  return value.elements.flatMap((one) => one.elements).map((run) => run.text ?? "").join("");
}

// --- choosing

function optionOf(option) {
  return { value: option.value, text: option.text.text, label: plainWords(option.text), description: option.description ? plainWords(option.description) : "" };
}

function choice(spec, block, place, names, { offer, asValue, fromState }) {
  const several = spec.type.startsWith("multi_");
  const made = combobox({
    offer, several, most: spec.max_selected_items, labelledBy: names.labelId, describedBy: names.describedBy, focusKey: names.focusKey,
    label: plainWords(spec.placeholder) || "Choose", placeholder: spec.placeholder ? plainWords(spec.placeholder) : "Choose…",
    choose: (chosen) => {
      const values = chosen.map(asValue);
      place.use(made, spec.confirm, (confirm) => place.act("choose", { ...target(spec, block), value: several ? values : values[0] ?? null, confirm }));
    },
  });
  made.sync = ((show) => (value) => show((several ? value ?? [] : value ? [value] : []).map(fromState)))(made.sync);
  return made;
}

function staticSelect(spec, block, place, names) {
  const options = spec.options
    ? spec.options.map(optionOf)
    : spec.option_groups.flatMap((group) => group.options.map((option) => ({ ...optionOf(option), group: plainWords(group.label) })));
  return choice(spec, block, place, names, { offer: (query) => matching(options, query), asValue: (one) => one.value, fromState: optionOf });
}

function externalSelect(spec, block, place, names) {
  const least = spec.min_query_length ?? 3;
  const offer = (query) => {
    if (query.length < least) throw new Error(`Type at least ${least} characters.`);
    return place.act("suggest", { ...target(spec, block), query }).then(({ options }) => options.map(optionOf));
  };
  // The app is asked again for what is chosen, so by the text that a person would type.
  return choice(spec, block, place, names, { offer, asValue: (one) => one.text, fromState: optionOf });
}

function usersSelect(spec, block, place, names) {
  const { world } = place;
  const offer = (query) => matching(world.people.filter((one) => !one.deleted && !one.is_bot).map((one) => ({ value: one.id, label: one.real_name, description: `@${one.name}` })), query);
  return choice(spec, block, place, names, { offer, asValue: (one) => one.value, fromState: (id) => ({ value: id, label: world.realName(id), description: `@${world.personName(id)}` }) });
}

function conversationsSelect(spec, block, place, names) {
  const { world } = place;
  const kinds = spec.type.includes("channels") ? ["public"] : spec.filter?.include;
  const offered = () => world.channels.filter((one) => !one.archived && one.name && (one.kind === "public" || one.members.includes(world.me.id)) && (!kinds || kinds.includes(one.kind)));
  const shown = (one) => ({ value: one.id, label: `#${one.name}`, description: one.kind === "private" ? "private" : "" });
  return choice(spec, block, place, names, {
    offer: (query) => matching(offered().map(shown), query), asValue: (one) => one.value,
    fromState: (id) => shown(world.channels.find((one) => one.id === id) ?? { id, name: id, kind: "public" }),
  });
}

function group(spec, block, place, { labelId, describedBy, focusKey }, type) {
  const name = freshId("group");
  const tell = () => {
    const values = inputs.filter((one) => one.checked).map((one) => one.value);
    place.use(made, spec.confirm, (confirm) => place.act("choose", { ...target(spec, block), value: type === "radio" ? values[0] ?? null : values, confirm }));
  };
  const inputs = [];
  const made = h("div", { class: "group", role: type === "radio" ? "radiogroup" : "group", "aria-labelledby": labelId, "aria-describedby": describedBy },
    spec.options.map((option, index) => {
      const moreId = option.description ? freshId("more") : null;
      const input = h("input", { type, name, value: option.value, "aria-describedby": moreId, data: { focus: `${focusKey} ${index}` }, onchange: tell });
      inputs.push(input);
      return h("label", { class: "group-option" }, input, h("span", {}, h("span", {}, words(option.text, place.world)), option.description && h("span", { class: "option-more", id: moreId }, words(option.description, place.world))));
    }));
  made.sync = (value) => {
    const held = new Set((Array.isArray(value) ? value : value ? [value] : []).map((one) => one.value));
    for (const input of inputs) input.checked = held.has(input.value);
  };
  return made;
}

// --- dates and times

/** A field for a date, a time of day, or a moment: that by the clocks of the person's own time zone. */
function picker(spec, block, place, { labelId, describedBy, focusKey }) {
  const type = { datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" }[spec.type];
  const zone = spec.timezone ?? (spec.type === "datetimepicker" ? place.world.zone : null);
  const zoneId = zone ? freshId("zone") : null;
  const field = h("input", {
    type, class: "text-input picker", "aria-labelledby": labelId, "aria-describedby": [describedBy, zoneId].filter(Boolean).join(" ") || null, data: { focus: focusKey },
    "aria-label": labelId ? null : plainWords(spec.placeholder) || type,
    onchange: () => {
      const value = spec.type === "datetimepicker" && field.value ? momentOf(field.value, zone) : field.value || null;
      place.use(made, spec.confirm, (confirm) => place.act("choose", { ...target(spec, block), value, confirm }));
    },
  });
  const made = h("span", { class: "picker-box" }, field, zone && h("span", { class: "muted small", id: zoneId }, zone.replaceAll("_", " ")));
  made.control = field;
  made.sync = (value) => {
    const shown = spec.type === "datetimepicker" && value ? wallClock(value, zone) : value ?? "";
    if (field.value !== shown && document.activeElement !== field) field.value = shown;
  };
  return made;
}

/** Giving files is not part of the stand-in; the field says so rather than being missing. */
function fileInput(_spec, _block, _place, { labelId, describedBy }) {
  return h("button", { type: "button", class: "button file-input", disabled: true, "aria-labelledby": labelId, "aria-describedby": describedBy }, icon("file"), " Files can't be given in this sandbox");
}

const MAKERS = {
  button, workflow_button: button, icon_button: iconButton, feedback_buttons: feedback, overflow,
  plain_text_input: text, email_text_input: text, url_text_input: text, number_input: text, rich_text_input: text,
  static_select: staticSelect, multi_static_select: staticSelect, external_select: externalSelect, multi_external_select: externalSelect,
  users_select: usersSelect, multi_users_select: usersSelect, conversations_select: conversationsSelect,
  multi_conversations_select: conversationsSelect, channels_select: conversationsSelect, multi_channels_select: conversationsSelect,
  radio_buttons: (spec, block, place, names) => group(spec, block, place, names, "radio"),
  checkboxes: (spec, block, place, names) => group(spec, block, place, names, "checkbox"),
  datepicker: picker, timepicker: picker, datetimepicker: picker, file_input: fileInput,
};

