// Tables: `table`, which is shown as it is, and `data_table`, which can be sorted and leafed through.

import { freshId, h } from "./dom.js";
import { richText } from "./words.js";

/** A `table` block: the first row is its head. */
export function table(block, place) {
  const [head, ...rows] = block.rows;
  const settings = block.column_settings ?? [];
  const cells = (row, tag) => row.map((value, at) => h(tag, { scope: tag === "th" ? "col" : null, class: cellClass(value, settings[at]) }, cellContent(value, place)));
  return framed("Table", h("table", {}, h("thead", {}, h("tr", {}, cells(head, "th"))), h("tbody", {}, rows.map((row) => h("tr", {}, cells(row, "td"))))));
}

/** A `data_table` block: a caption, columns to sort by, and pages. */
export function dataTable(block, place) {
  const [head, ...rows] = block.rows;
  const length = block.page_size ?? rows.length;
  const pages = Math.ceil(rows.length / length);
  const captionId = freshId("caption");
  let sorted = { column: null, descending: false };
  let page = 0;

  const body = h("tbody");
  const where = h("span", { class: "muted small", role: "status" });
  const turn = (step, label) => h("button", { type: "button", class: "button small", onclick: () => { page += step; show(); } }, label);
  const previous = turn(-1, "Previous");
  const next = turn(1, "Next");
  const headers = head.map((value, at) => h("th", { scope: "col", class: cellClass(rows[0]?.[at] ?? value) },
    h("button", { type: "button", class: "sort", onclick: () => sort(at) }, cellContent(value, place), h("span", { class: "sort-sign", "aria-hidden": "true" }))));

  function sort(column) {
    sorted = { column, descending: sorted.column === column && !sorted.descending };
    page = 0;
    show();
  }

  function show() {
    const { column, descending } = sorted;
    const order = column === null ? rows : [...rows].sort((one, other) => (descending ? -1 : 1) * compare(one[column], other[column]));
    const shown = order.slice(page * length, (page + 1) * length);
    for (const [at, header] of headers.entries()) {
      if (at === column) header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    body.replaceChildren(...shown.map((row) => h("tr", {}, row.map((value, at) => at === block.row_header_column_index
      ? h("th", { scope: "row", class: cellClass(value) }, cellContent(value, place))
      : h("td", { class: cellClass(value) }, cellContent(value, place))))));
    where.textContent = `${page * length + 1}–${page * length + shown.length} of ${rows.length}`;
    previous.disabled = page === 0;
    next.disabled = page >= pages - 1;
  }

  show();
  return h("div", {},
    h("p", { class: "table-caption", id: captionId }, block.caption),
    framed(null, h("table", { "aria-labelledby": captionId }, h("thead", {}, h("tr", {}, headers)), body), captionId),
    pages > 1 && h("div", { class: "row pages" }, where, previous, next));
}

/** A frame that scrolls sideways where a table is wider than the page; with the keyboard, too. */
export function framed(label, inner, labelledBy = null) {
  return h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": label, "aria-labelledby": labelledBy }, inner);
}

function cellClass(value, settings) {
  const align = settings?.align ?? (value.type === "raw_number" ? "right" : null);
  return [align && `align-${align}`, settings?.is_wrapped === false && "unwrapped"].filter(Boolean).join(" ") || null;
}

function cellContent(value, place) {
  return value.type === "rich_text" ? richText(value, place.world) : value.text;
}

function compare(one, other) {
  if (one.type === "raw_number" && other.type === "raw_number") return one.value - other.value;
  return spoken(one).localeCompare(spoken(other), undefined, { numeric: true });
}

function spoken(value) {
  return value.text ?? value.elements?.flatMap((part) => part.elements).map((run) => run.text ?? "").join("") ?? "";
}
