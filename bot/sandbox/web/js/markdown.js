// Standard Markdown, as `markdown` blocks hold it, as nodes: headings, lists, tables, quotes, code and the marks within
// lines (CommonMark with GitHub's tables, tasks and strike-through, as far as messages use them). Never through HTML.

import { h } from "./dom.js";
import { emojified } from "./emoji.js";
import { outward } from "./words.js";

const DEEPEST = 8; // quotes and lists within one another; what lies deeper is shown as it is written

/** The blocks of a text. */
export function markdown(text) {
  return blocks(text.replaceAll("\r\n", "\n").split("\n"));
}

const RULES = [
  { begins: /^\s*$/, make: () => ({ node: null, length: 1 }) },
  { begins: /^ {0,3}(```+|~~~+)/, make: fenced },
  { begins: /^ {0,3}#{1,6}\s/, make: heading },
  { begins: /^ {0,3}([-*_])( *\1){2,} *$/, make: () => ({ node: h("hr"), length: 1 }) },
  { begins: /^ {0,3}>/, make: quote },
  { begins: /^ {0,3}([-*+]|\d{1,9}[.)])\s/, make: list },
  { begins: /\|/, make: table },
];

function blocks(lines, depth = 0) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const made = block(lines.slice(at), depth);
    if (made.node) nodes.push(made.node);
    at += made.length;
  }
  return nodes;
}

function block(lines, depth) {
  for (const rule of RULES) {
    const made = rule.begins.test(lines[0]) && rule.make(lines, depth);
    if (made) return made;
  }
  return paragraph(lines);
}

function paragraph(lines) {
  const isNext = (line) => RULES.some((one) => one.begins.test(line) && one.make !== table);
  let length = 1;
  while (length < lines.length && !isNext(lines[length])) length += 1;
  const text = lines.slice(0, length).map((line) => line.trim());
  return { node: h("p", {}, text.flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line)))), length };
}

function heading(lines) {
  const [, marks, text] = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/.exec(lines[0]) ?? [null, "#", ""];
  return { node: h("p", { class: `md-heading level-${Math.min(3, marks.length)}`, role: "heading", "aria-level": Math.min(6, marks.length + 2) }, inline(text)), length: 1 };
}

function fenced(lines) {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(lines[0])[1];
  const end = lines.findIndex((line, index) => index > 0 && line.trim().startsWith(fence));
  const last = end < 0 ? lines.length : end;
  return { node: h("pre", {}, lines.slice(1, last).join("\n")), length: end < 0 ? lines.length : end + 1 };
}

function quote(lines, depth) {
  if (depth >= DEEPEST) return null;
  let length = 0;
  while (length < lines.length && /^ {0,3}>/.test(lines[length])) length += 1;
  return { node: h("blockquote", {}, blocks(lines.slice(0, length).map((line) => line.replace(/^ {0,3}> ?/, "")), depth + 1)), length };
}

const ITEM = /^( {0,3})([-*+]|(\d{1,9})[.)])(\s+)(.*)$/;

function list(lines, depth) {
  if (depth >= DEEPEST) return null;
  const first = ITEM.exec(lines[0]);
  const ordered = Boolean(first[3]);
  const items = [];
  let length = 0;
  while (length < lines.length) {
    const line = lines[length];
    const item = ITEM.exec(line);
    const isWithin = items.length > 0 && /^ */.exec(line)[0].length >= items.at(-1).indent;
    if (item && !isWithin && Boolean(item[3]) === ordered) items.push({ lines: [item[5]], indent: item[1].length + item[2].length + item[4].length });
    else if (items.length && /^\s+\S/.test(line)) items.at(-1).lines.push(line.replace(new RegExp(`^ {1,${items.at(-1).indent}}`), ""));
    else if (!line.trim() && ITEM.test(lines[length + 1] ?? "")) { length += 1; continue; }
    else break;
    length += 1;
  }
  return { node: h(ordered ? "ol" : "ul", { start: ordered && first[3] !== "1" ? first[3] : null }, items.map((item) => listItem(item, depth + 1))), length };
}

function listItem({ lines }, depth) {
  const [, ticked, text] = /^\[([ xX])\]\s+(.*)$/.exec(lines[0]) ?? [null, null, lines[0]];
  const inner = blocks([text, ...lines.slice(1)], depth).flatMap((node, index) => (index === 0 && node.matches("p:not([role])") ? [...node.childNodes] : [node]));
  if (ticked === null) return h("li", {}, inner);
  return h("li", { class: "task" }, h("span", { class: "task-mark", role: "img", "aria-label": ticked === " " ? "open" : "done" }, ticked === " " ? "☐" : "☑"), " ", inner);
}

function table(lines) {
  const rule = cells(lines[1] ?? "");
  if (!rule.length || !rule.every((cell) => /^:?-+:?$/.test(cell))) return null;
  const align = rule.map((cell) => (/^:-+:$/.test(cell) ? "center" : /-:$/.test(cell) ? "right" : null));
  let length = 2;
  while (length < lines.length && lines[length].includes("|")) length += 1;
  const row = (line, tag) => h("tr", {}, rule.map((_, at) => h(tag, { scope: tag === "th" ? "col" : null, class: align[at] ? `align-${align[at]}` : null }, inline(cells(line)[at] ?? ""))));
  return {
    node: h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "Table" },
      h("table", {}, h("thead", {}, row(lines[0], "th")), h("tbody", {}, lines.slice(2, length).map((line) => row(line, "td"))))),
    length,
  };
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

// --- within lines

const MARKS = /(?<escape>\\[!-/:-@[-`{-~])|(?<code>(?<fence>`+)[^`].*?\k<fence>)|!?\[(?<label>[^\]]*)\]\((?<url>[^\s)]+)(?:\s+"[^"]*")?\)|(?<bold>\*\*(?!\s).+?(?<!\s)\*\*|__(?!\s).+?(?<!\s)__)|(?<strike>~~(?!\s).+?(?<!\s)~~)|(?<em>\*(?!\s)[^*]+?(?<!\s)\*|(?<!\w)_(?!\s)[^_]+?(?<!\s)_(?!\w))|(?<bare>\bhttps?:\/\/[^\s<>]+[^\s<>.,;:!?)\]'"*_~])/;

function inline(text) {
  const nodes = [];
  let rest = text;
  for (let found = MARKS.exec(rest); found; found = MARKS.exec(rest)) {
    if (found.index) nodes.push(...emojified(rest.slice(0, found.index)));
    nodes.push(marked(found));
    rest = rest.slice(found.index + found[0].length);
  }
  return rest ? [...nodes, ...emojified(rest)] : nodes;
}

function marked({ 0: whole, groups }) {
  if (groups.escape) return whole[1];
  if (groups.code) return h("code", {}, whole.slice(groups.fence.length, -groups.fence.length).trim());
  if (groups.url) return outward(groups.url, inline(groups.label || groups.url));
  if (groups.bold) return h("strong", {}, inline(whole.slice(2, -2)));
  if (groups.strike) return h("s", {}, inline(whole.slice(2, -2)));
  if (groups.em) return h("em", {}, inline(whole.slice(1, -1)));
  return outward(whole, whole);
}
