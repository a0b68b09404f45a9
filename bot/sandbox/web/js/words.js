// Slack's texts as nodes: mrkdwn, plain text, mentions, dates, rich text. Never through HTML.

import { h } from "./dom.js";
import { emoji, emojified, withEmoji } from "./emoji.js";
import { moment } from "./moments.js";

/** A text object, whichever kind it is. `world` knows people, channels, and the reader's language and time zone. */
export function words(object, world) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text, world, { verbatim: object.verbatim });
  return lines(object.text, object.emoji === false ? (line) => [line] : emojified);
}

/** The same as a bare string, for attributes. */
export function plainWords(object) {
  return object ? withEmoji(object.text) : "";
}

function lines(text, shown = emojified) {
  return text.split("\n").flatMap((line, index) => (index ? [h("br"), ...shown(line)] : shown(line)));
}

function unescaped(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** Slack's mrkdwn: blocks of code and quotes first, then the marks within lines. */
export function mrkdwn(text, world, { verbatim = false } = {}) {
  const nodes = [];
  const show = (line) => inline(line, world, verbatim);
  for (const [index, part] of text.split("```").entries()) {
    if (index % 2) nodes.push(h("pre", {}, unescaped(part.replace(/^\n|\n$/g, ""))));
    else nodes.push(...quoted(index ? part.replace(/^\n/, "") : part, show));
  }
  return nodes;
}

function quoted(text, show) {
  const nodes = [];
  let quote = null;
  for (const [index, line] of text.split("\n").entries()) {
    const inside = /^(&gt;|>) ?/.exec(line);
    if (inside) {
      if (!quote) nodes.push((quote = h("blockquote")));
      else quote.append(h("br"));
      quote.append(...show(line.slice(inside[0].length)));
      continue;
    }
    if (index && !quote) nodes.push(h("br"));
    quote = null;
    nodes.push(...show(line));
  }
  return nodes;
}

// Marks begin and end at the edge of a word, as in Slack.
const MARKS = /(`[^`\n]+`)|(<[^<>\n]+>)|(?<![\p{L}\p{N}])(\*(?!\s)[^*\n]+?(?<!\s)\*|_(?!\s)[^_\n]+?(?<!\s)_|~(?!\s)[^~\n]+?(?<!\s)~)(?![\p{L}\p{N}])|(\bhttps?:\/\/[^\s<>|]+[^\s<>|.,;:!?)\]'"*_~])/u;

function inline(text, world, verbatim) {
  const nodes = [];
  let rest = text;
  for (let found = MARKS.exec(rest); found; found = MARKS.exec(rest)) {
    if (found.index) nodes.push(...emojified(unescaped(rest.slice(0, found.index))));
    nodes.push(marked(found, world, verbatim));
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) nodes.push(...emojified(unescaped(rest)));
  return nodes;
}

const EMPHASIS = { "*": "strong", _: "em", "~": "s" };

function marked([whole, code, reference, emphasis, address], world, verbatim) {
  if (code) return h("code", {}, unescaped(code.slice(1, -1)));
  if (reference) return referred(reference.slice(1, -1), world);
  if (emphasis) return h(EMPHASIS[whole[0]], {}, inline(whole.slice(1, -1), world, verbatim));
  return verbatim ? unescaped(address) : outward(unescaped(address), unescaped(address));
}

function referred(inner, world) {
  const [target, ...labels] = inner.split("|");
  const label = unescaped(labels.join("|"));
  if (/^@[UW]/.test(target)) return personMention(target.slice(1), world, label);
  if (/^#C/.test(target)) return mention(`#${world.channelName(target.slice(1)) ?? (label || target.slice(1))}`);
  if (target.startsWith("!date^")) return dateReferred(target, label, world);
  if (target.startsWith("!subteam^")) return groupMention(target.split("^")[1], world, label);
  if (/^!(here|channel|everyone)$/.test(target)) return mention(`@${target.slice(1)}`, true);
  if (isOutward(unescaped(target))) return outward(unescaped(target), label || unescaped(target.replace(/^mailto:/, "")));
  return `<${unescaped(inner)}>`;
}

function dateReferred(target, label, world) {
  const [, seconds, format = "", link] = target.split("^");
  const said = moment(Number(seconds), format, world) ?? label;
  const when = new Date(Number(seconds) * 1000);
  const shown = link ? outward(link, said) : said;
  return Number.isNaN(when.getTime()) ? shown : h("time", { datetime: when.toISOString() }, shown);
}

function mention(text, isMine = false) {
  return h("span", { class: isMine ? "mention mine" : "mention" }, text);
}

function personMention(id, world, label = "") {
  return mention(`@${world.personName(id) ?? (label || id)}`, id === world.me?.id);
}

function groupMention(id, world, label = "") {
  const group = world.groups.find((one) => one.id === id);
  return mention(group ? `@${group.handle}` : label || "@group", group?.members.includes(world.me?.id));
}

const isOutward = (url) => /^(https?:|mailto:)/i.test(url);

/** A link that leaves the page; only the kinds that a message may hold. */
export function outward(url, label) {
  if (!isOutward(url)) return label;
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label);
}

// --- rich text

export function richText(block, world) {
  return h("div", { class: "rich" }, block.elements.map((element) => richBlock(element, world)));
}

function richBlock(element, world) {
  const runs = () => element.elements.map((run) => richRun(run, world));
  switch (element.type) {
    case "rich_text_list":
      return h(element.style === "ordered" ? "ol" : "ul", { class: `indent-${element.indent ?? 0}`, start: element.offset ? element.offset + 1 : null },
        element.elements.map((item) => h("li", {}, item.elements.map((run) => richRun(run, world)))));
    case "rich_text_quote":
      return h("blockquote", {}, runs());
    case "rich_text_preformatted":
      return h("pre", {}, runs());
    default:
      return h("p", {}, runs());
  }
}

const STYLES = [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"], ["underline", "u"], ["highlight", "mark"]];

function richRun(run, world) {
  let node;
  switch (run.type) {
    case "link": node = outward(run.url, run.text ?? run.url); break;
    case "emoji": node = emoji(run.name) ?? `:${run.name}:`; break;
    case "user": node = personMention(run.user_id, world); break;
    case "channel": node = mention(`#${world.channelName(run.channel_id) ?? run.channel_id}`); break;
    case "usergroup": node = groupMention(run.usergroup_id, world); break;
    case "broadcast": node = mention(`@${run.range}`, true); break;
    case "color": node = h("code", {}, run.value); break;
    case "date": node = moment(run.timestamp, run.format, world) ?? run.fallback ?? ""; break;
    default: node = h("span", {}, lines(run.text ?? "", (line) => [line]));
  }
  const style = run.style ?? {};
  for (const [name, tag] of STYLES) {
    if (style[name]) node = h(tag, {}, node);
  }
  return node;
}
