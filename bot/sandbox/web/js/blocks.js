// Blocks as elements of the page. One function a type; unknown ones say so.

import { chart } from "./charts.js";
import { freshId, h, reconcile } from "./dom.js";
import { element, syncControls } from "./elements.js";
import { emoji } from "./emoji.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { dataTable, table } from "./tables.js";
import { outward, plainWords, richText, words } from "./words.js";

/** Show blocks in `container`, touching only those that changed; `values` is what stands in their inputs. */
export function showBlocks(container, blocks, place, { values = {}, errors = {} } = {}) {
  reconcile(container, blocks.map((block, index) => ({
    key: block.block_id ?? index,
    signature: signature(block, errors[block.block_id] ?? "", place.world),
    make: () => blockElement(block, place, errors[block.block_id]),
  })));
  syncControls(container, values);
}

const OF_THE_WORLD = /(users|conversations|channels)_select|datetimepicker|<[@#!]/; // what an input shows of people and places

/**
 * What makes a block another one. An input stays the same while its list is open or somebody types: the value that the app
 * would begin with does not count, since `values` has what it holds, nor do names elsewhere.
 */
function signature(block, error, world) {
  const said = JSON.stringify(block, (key, value) => (key.startsWith("initial_") ? undefined : value));
  const isApart = block.type === "input" && !OF_THE_WORLD.test(said);
  return JSON.stringify([said, error, isApart || world.stamp]);
}

function blockElement(block, place, error) {
  const make = BLOCKS[block.type];
  const made = make ? make(block, place, error) : h("p", { class: "muted" }, `(a block of the type ${block.type} can't be shown here)`);
  made.classList.add("block", `block-${block.type}`);
  return made;
}

/** Elements that this person may see. */
function elements(listed, block, place) {
  const mine = listed.filter((one) => !one.visible_to_user_ids || one.visible_to_user_ids.includes(place.world.me.id));
  return mine.map((one) => element(one, block, place));
}

const row = (listed, block, place) => h("div", { class: "row" }, elements(listed, block, place));

function section(block, place) {
  const { world } = place;
  const labelId = freshId("section");
  const { accessory } = block;
  return h("div", {},
    h("div", { class: "section-text" },
      block.text && h("div", { id: labelId, class: "text" }, words(block.text, world)),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, words(field, world))))),
    accessory && h("div", { class: "accessory" }, accessory.type === "image" ? image(accessory, place) : element(accessory, block, place, { labelId: block.text ? labelId : null })));
}

function input(block, place, error) {
  const labelId = freshId("label");
  const hintId = block.hint ? freshId("hint") : null;
  const errorId = error ? freshId("error") : null;
  const control = element(block.element, block, place, { labelId, describedBy: [errorId, hintId].filter(Boolean).join(" ") || null });
  const focusable = control.control ?? (control.matches("input, textarea") ? control : control.querySelector("input, textarea"));
  if (error && focusable) focusable.setAttribute("aria-invalid", "true");
  if (!block.optional && focusable && !["checkbox", "radio"].includes(focusable.type)) focusable.setAttribute("aria-required", "true");
  return h("div", { class: error ? "wrong" : "" },
    h("div", { class: "label", id: labelId, onclick: () => focusable?.focus() }, words(block.label, place.world), block.optional && h("span", { class: "optional" }, " (optional)")),
    control,
    error && h("p", { class: "error", id: errorId }, icon("warning"), error),
    block.hint && h("p", { class: "hint", id: hintId }, words(block.hint, place.world)));
}

/** An image of the workspace; those of other sites are not fetched, their words stand for them. */
function image(spec, place) {
  const id = spec.slack_file?.id ?? /files-pri\/[^/]*-(F\w+)\//.exec(spec.slack_file?.url ?? spec.image_url ?? "")?.[1];
  if (!id) return h("span", { class: "image-instead", role: "img", "aria-label": spec.alt_text }, icon("image"), h("span", {}, spec.alt_text));
  return h("img", { src: place.world.fileAddress(id, "image.png"), alt: spec.alt_text });
}

function card(block, place) {
  const { world } = place;
  const sign = block.icon ? image(block.icon, place) : block.slack_icon && emoji(block.slack_icon.name);
  return h("div", {},
    block.hero_image && h("div", { class: "card-hero" }, image(block.hero_image, place)),
    (block.title || block.subtitle || sign) && h("div", { class: "card-head" }, sign && h("span", { class: "card-icon" }, sign),
      h("div", {}, block.title && h("p", { class: "card-title" }, words(block.title, world)), block.subtitle && h("p", { class: "muted small" }, words(block.subtitle, world)))),
    block.body && h("div", { class: "text" }, words(block.body, world)),
    block.subtext && h("p", { class: "muted small" }, words(block.subtext, world)),
    block.actions && row(block.actions, block, place));
}

function container(block, place) {
  const { world } = place;
  const inner = h("div", { class: "container-blocks" }, block.child_blocks.map((child) => blockElement(child, place)));
  const head = h("span", { class: "card-head" }, block.icon && h("span", { class: "card-icon" }, image(block.icon, place)),
    h("span", {}, h("span", { class: "card-title" }, block.title ? words(block.title, world) : richText(block.rich_text_title, world)),
      block.subtitle && h("span", { class: "muted small" }, words(block.subtitle, world))));
  const about = { class: [`width-${block.width ?? "standard"}`, block.has_header_divider && "divided"].filter(Boolean).join(" ") };
  if (!block.is_collapsible) return h("section", about, h("div", { class: "container-head" }, head), inner);
  return h("details", { ...about, open: !block.default_collapsed }, h("summary", { class: "container-head" }, head), inner);
}

const TASKS = { pending: "waiting", in_progress: "under way", complete: "done", error: "failed" };

function task(block, place) {
  return h("div", { class: `task-${block.status}` },
    h("p", { class: "task-head" }, h("span", { class: "task-sign", "aria-hidden": "true" }, block.status === "complete" && icon("check"), block.status === "error" && icon("close")),
      h("span", {}, block.title, h("span", { class: "muted small" }, ` ${TASKS[block.status]}`))),
    block.details && richText(block.details, place.world),
    block.output && richText(block.output, place.world),
    block.sources && h("ul", { class: "task-sources" }, block.sources.map((one) => h("li", {}, outward(one.url, one.text)))));
}

const ALERT_SIGNS = { default: "i", info: "i", warning: "!", error: "!" };

function alert(block, place) {
  const level = block.level ?? "default";
  return h("div", { class: level, role: level === "error" ? "alert" : "status" },
    h("span", { class: "alert-sign", "aria-hidden": "true" }, ALERT_SIGNS[level] ?? icon("check")),
    h("div", { class: "text" }, words(block.text, place.world)));
}

function file(block) {
  return h("div", { class: "file" }, h("span", { class: "file-sign", "aria-hidden": "true" }, icon("file")),
    h("span", {}, h("span", { class: "file-title" }, block.external_id), h("span", { class: "muted" }, "A file that lies elsewhere")));
}

function video(block) {
  return h("div", { class: "file" }, h("span", { class: "file-sign", "aria-hidden": "true" }, icon("play")),
    h("span", {}, h("span", { class: "file-title" }, outward(block.title_url ?? block.video_url, plainWords(block.title))),
      h("span", { class: "muted" }, [block.author_name, block.provider_name].filter(Boolean).join(" · ") || block.alt_text)));
}

const BLOCKS = {
  section,
  input,
  table,
  data_table: dataTable,
  alert,
  card,
  container,
  file,
  task_card: task,
  video,
  image: (block, place) => h("figure", {}, block.title && h("figcaption", {}, words(block.title, place.world)), image(block, place)),
  actions: (block, place) => row(block.elements, block, place),
  context_actions: (block, place) => row(block.elements, block, place),
  carousel: (block, place) => h("div", { tabindex: "0", role: "group", "aria-label": "Cards" }, block.elements.map((one) => blockElement(one, place))),
  context: (block, place) => h("div", {}, block.elements.map((one) => (one.type === "image" ? image(one, place) : h("div", { class: "text" }, words(one, place.world))))),
  data_visualization: (block, place) => chart(block, place.world),
  divider: () => h("hr"),
  header: (block, place) => h(place.inDialog ? "h3" : "h2", {}, words(block.text, place.world)),
  markdown: (block) => h("div", { class: "text md" }, markdown(block.text)),
  plan: (block, place) => h("div", {}, h("p", { class: "card-title" }, block.title), (block.tasks ?? []).map((one) => blockElement({ ...one, type: "task_card" }, place))),
  rich_text: (block, place) => richText(block, place.world),
};
