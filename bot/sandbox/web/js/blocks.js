// Blocks as elements of the page. One function a type; unknown ones say so.

import { chart } from "./charts.js";
import { freshId, h, reconcile } from "./dom.js";
import { element, syncControls } from "./elements.js";
import { mrkdwn, outward, plainWords, richText, words } from "./words.js";

/** Show blocks in `container`, touching only those that changed; `values` is what stands in their inputs. */
export function showBlocks(container, blocks, place, { values = {}, errors = {} } = {}) {
  reconcile(container, blocks.map((block, index) => ({
    key: block.block_id ?? index,
    signature: JSON.stringify([block, errors[block.block_id] ?? "", place.world.stamp]),
    make: () => blockElement(block, place, errors[block.block_id]),
  })));
  syncControls(container, values);
}

function blockElement(block, place, error) {
  const make = BLOCKS[block.type];
  const made = make ? make(block, place, error) : h("p", { class: "muted" }, `(a block of the type ${block.type} can't be shown here)`);
  made.classList.add("block", `block-${block.type}`);
  return made;
}

function visible(elements, place) {
  return elements.filter((one) => !one.visible_to_user_ids || one.visible_to_user_ids.includes(place.world.me.id));
}

function section(block, place) {
  const { world } = place;
  const labelId = freshId("section");
  return h("div", {},
    h("div", { class: "section-text" },
      block.text && h("div", { id: labelId, class: "text" }, words(block.text, world)),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, words(field, world))))),
    block.accessory && h("div", { class: "accessory" }, block.accessory.type === "image" ? image(block.accessory, place) : element(block.accessory, block, place, { labelId: block.text ? labelId : null })));
}

function input(block, place, error) {
  const labelId = freshId("label");
  const hintId = block.hint ? freshId("hint") : null;
  const errorId = error ? freshId("error") : null;
  const control = element(block.element, block, place, { labelId, describedBy: [errorId, hintId].filter(Boolean).join(" ") || null });
  const focusable = control.control ?? (control.matches("input, textarea") ? control : control.querySelector("input"));
  if (error && focusable) focusable.setAttribute("aria-invalid", "true");
  if (!block.optional && focusable && !["checkbox", "radio"].includes(focusable.type)) focusable.setAttribute("aria-required", "true");
  return h("div", { class: error ? "wrong" : "" },
    h("div", { class: "label", id: labelId, onclick: () => focusable?.focus() }, words(block.label, place.world), block.optional && h("span", { class: "optional" }, " (optional)")),
    control,
    error && h("p", { class: "error", id: errorId }, error),
    block.hint && h("p", { class: "hint", id: hintId }, words(block.hint, place.world)));
}

/** An image of the workspace; those of other sites are not fetched, their words stand for them. */
function image(spec, place) {
  const id = spec.slack_file?.id ?? /files-pri\/[^/]*-(F\w+)\//.exec(spec.slack_file?.url ?? spec.image_url ?? "")?.[1];
  if (!id) return h("span", { class: "image-instead", role: "img", "aria-label": spec.alt_text }, `🖼 ${spec.alt_text}`);
  return h("img", { src: place.world.fileAddress(id, "image.png"), alt: spec.alt_text });
}

function imageBlock(block, place) {
  return h("figure", {}, block.title && h("figcaption", {}, words(block.title, place.world)), image(block, place));
}

function cell(value, place, tag, index, settings) {
  const align = settings?.[index]?.align ?? (value.type === "raw_number" ? "right" : null);
  return h(tag, { scope: tag === "th" ? "col" : null, class: align ? `align-${align}` : null }, value.type === "rich_text" ? richText(value, place.world) : value.text);
}

function table(block, place) {
  const [head, ...rows] = block.rows;
  return h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": block.caption ?? "Table" },
    h("table", {},
      block.caption && h("caption", {}, block.caption),
      h("thead", {}, h("tr", {}, head.map((one, at) => cell(one, place, "th", at, block.column_settings)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((one, at) => cell(one, place, "td", at, block.column_settings)))))));
}

function card(block, place) {
  return h("div", {},
    block.hero_image && image(block.hero_image, place),
    block.title && h("p", { class: "card-title" }, words(block.title, place.world)),
    ["subtitle", "body", "subtext"].map((name) => block[name] && h("p", {}, words(block[name], place.world))),
    block.actions && h("div", { class: "row" }, visible(block.actions, place).map((one) => element(one, block, place))));
}

function container(block, place) {
  const inner = h("div", { class: "container-blocks" }, block.child_blocks.map((child) => blockElement(child, place)));
  const title = block.title ? words(block.title, place.world) : richText(block.rich_text_title, place.world);
  if (!block.is_collapsible) return h("section", {}, h("div", { class: "card-title" }, title), inner);
  return h("details", { open: !block.default_collapsed }, h("summary", {}, title), inner);
}

const TASK_SIGNS = { pending: "○", in_progress: "◐", complete: "●", error: "✕" };

function task(block, place) {
  return h("div", {},
    h("p", {}, h("span", { "aria-hidden": "true" }, `${TASK_SIGNS[block.status]} `), block.title, h("span", { class: "muted" }, ` (${block.status.replace("_", " ")})`)),
    block.details && richText(block.details, place.world),
    block.output && richText(block.output, place.world));
}

const ALERT_SIGNS = { default: "ℹ", info: "ℹ", warning: "!", error: "!", success: "✓" };

const BLOCKS = {
  section,
  input,
  table,
  data_table: table,
  card,
  container,
  task_card: task,
  image: imageBlock,
  actions: (block, place) => h("div", { class: "row" }, visible(block.elements, place).map((one) => element(one, block, place))),
  context_actions: (block, place) => h("div", { class: "row" }, visible(block.elements, place).map((one) => element(one, block, place))),
  alert: (block, place) => h("div", { class: block.level ?? "default", role: block.level === "error" ? "alert" : "status" },
    h("span", { class: "alert-sign", "aria-hidden": "true" }, ALERT_SIGNS[block.level ?? "default"]), h("div", { class: "text" }, words(block.text, place.world))),
  carousel: (block, place) => h("div", { class: "row" }, block.elements.map((one) => blockElement(one, place))),
  context: (block, place) => h("div", {}, block.elements.map((one) => one.type === "image" ? image(one, place) : h("div", { class: "text" }, words(one, place.world)))),
  data_visualization: (block, place) => chart(block, place.world),
  divider: () => h("hr"),
  header: (block, place) => h("h2", {}, words(block.text, place.world)),
  markdown: (block, place) => h("div", { class: "text" }, mrkdwn(block.text, place.world)),
  plan: (block, place) => h("div", {}, h("p", { class: "card-title" }, block.title), (block.tasks ?? []).map((one) => task(one, place))),
  rich_text: (block, place) => richText(block, place.world),
  video: (block) => h("p", {}, outward(block.title_url ?? block.video_url, plainWords(block.title)), ` – ${block.alt_text}`),
};
