// Files that hang on messages: pictures as such, tables and texts with a look inside, all of them to keep.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const PICTURES = /^(png|jpe?g|gif|webp)$/i;
const TABLES = /^(csv|tsv)$/i;
const TEXTS = /^(txt|log|json|md|ya?ml)$/i;
const LARGEST = 300_000; // bytes of a file that is looked into
const ROWS = 6;

/** A file of a message, as the one who looks may fetch it. */
export function attachedFile(file, world) {
  const address = world.fileAddress(file.id, file.name);
  if (PICTURES.test(file.filetype)) {
    return h("figure", { class: "picture" }, h("figcaption", {}, file.title), h("a", { href: address, target: "_blank", rel: "noopener" }, h("img", { src: address, alt: file.alt_txt || file.title })));
  }
  const card = h("div", { class: "file" },
    h("span", { class: "file-sign", "aria-hidden": "true" }, (file.filetype || "file").slice(0, 4)),
    h("span", {}, h("a", { class: "file-title", href: address, download: file.name }, file.title), h("span", { class: "muted" }, size(file.size, world))),
    h("span", { class: "file-get", "aria-hidden": "true" }, icon("download")));
  const isTable = TABLES.test(file.filetype);
  if (!(isTable || TEXTS.test(file.filetype)) || file.size > LARGEST) return card;
  return h("div", { class: "file-with-look" }, card, look(file, address, isTable));
}

/** A first look inside, fetched once somebody wants it. */
function look(file, address, isTable) {
  const inside = h("div", { class: "look" });
  let read = false;
  return h("details", {
    class: "numbers",
    ontoggle: async (event) => {
      if (!event.target.open || read) return;
      read = true;
      try {
        const response = await fetch(address);
        if (!response.ok) throw new Error();
        const text = await response.text();
        inside.replaceChildren(isTable ? tableOf(text, /^tsv$/i.test(file.filetype) ? "\t" : ",", file.title) : h("pre", {}, text.slice(0, 2000)));
      } catch {
        read = false;
        inside.replaceChildren(h("p", { class: "muted small" }, "The file can't be read just now."));
      }
    },
  }, h("summary", {}, "Look inside"), inside);
}

function tableOf(text, separator, title) {
  const [head, ...rows] = separated(text, separator);
  const more = rows.length - ROWS;
  return h("div", {},
    h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": `Inside ${title}` },
      h("table", {},
        h("thead", {}, h("tr", {}, (head ?? []).map((one) => h("th", { scope: "col" }, one)))),
        h("tbody", {}, rows.slice(0, ROWS).map((row) => h("tr", {}, row.map((one) => h("td", {}, one))))))),
    more > 0 && h("p", { class: "muted small" }, more === 1 ? "and 1 more row" : `and ${more.toLocaleString("en")} more rows`));
}

/** The rows of separated values, quotes and line breaks within them minded (RFC 4180). */
export function separated(text, separator = ",") {
  const rows = [];
  let row = [];
  let value = "";
  let quoted = false;
  const endValue = () => {
    row.push(value);
    value = "";
  };
  const endRow = () => {
    endValue();
    if (row.length > 1 || row[0]) rows.push(row);
    row = [];
  };
  for (let at = text.startsWith("\uFEFF") ? 1 : 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') value += sign;
      else if (text[at + 1] === '"') value += text[(at += 1)];
      else quoted = false;
    } else if (sign === '"' && !value) quoted = true;
    else if (sign === separator) endValue();
    else if (sign === "\n") endRow();
    else if (sign !== "\r") value += sign;
  }
  endRow();
  return rows;
}

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte"];

function size(bytes, world) {
  const power = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return new Intl.NumberFormat(world.locale, { style: "unit", unit: SIZES[power], unitDisplay: power ? "short" : "long", maximumFractionDigits: 1 }).format(bytes / 1000 ** power);
}
