// Slack's texts as nodes: mrkdwn, plain text, emoji, mentions, dates, rich text. Never through HTML.

import { h } from "./dom.js";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", information_source: "ℹ️", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", octagonal_sign: "🛑", fast_forward: "⏩", tada: "🎉", wave: "👋", rocket: "🚀", eyes: "👀",
  bulb: "💡", lock: "🔒", key: "🔑", bell: "🔔", mag: "🔍", memo: "📝", chart_with_upwards_trend: "📈", arrow_right: "➡️",
  repeat: "🔁", pause_button: "⏸️", double_vertical_bar: "⏸️", arrow_forward: "▶️", red_circle: "🔴", large_green_circle: "🟢", large_blue_circle: "🔵",
  large_yellow_circle: "🟡", "+1": "👍", "-1": "👎", no_entry: "⛔", question: "❓", exclamation: "❗", clock1: "🕐", calendar: "📅", ferry: "⛴️", ship: "🚢", package: "📦", inbox_tray: "📥", outbox_tray: "📤", gear: "⚙️", link: "🔗", email: "📧", busts_in_silhouette: "👥", bust_in_silhouette: "👤", star: "⭐", sparkles: "✨", zzz: "💤", construction: "🚧", point_right: "👉", point_down: "👇", heart: "❤️",
};

/** Emoji names in a plain text as signs. */
export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
}

/** A text object, whichever kind it is. `world` knows people, channels, and the reader's language and time zone. */
export function words(object, world) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text, world);
  return lines(object.emoji === false ? object.text : withEmoji(object.text));
}

/** The same as a bare string, for attributes. */
export function plainWords(object) {
  return object ? withEmoji(object.text) : "";
}

function lines(text) {
  return text.split("\n").flatMap((line, index) => (index ? [h("br"), line] : [line]));
}

function unescaped(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** Slack's mrkdwn: blocks of code and quotes first, then the marks within lines. */
export function mrkdwn(text, world) {
  const nodes = [];
  for (const [index, part] of text.split("```").entries()) {
    if (index % 2) nodes.push(h("pre", {}, unescaped(part.replace(/^\n/, ""))));
    else nodes.push(...quoted(part, world));
  }
  return nodes;
}

function quoted(text, world) {
  const nodes = [];
  let quote = null;
  const all = text.split("\n");
  for (const [index, line] of all.entries()) {
    const inside = /^(&gt;|>) ?/.exec(line);
    if (inside) {
      if (!quote) nodes.push((quote = h("blockquote")));
      else quote.append(h("br"));
      quote.append(...inline(line.slice(inside[0].length), world));
      continue;
    }
    if (index && !quote) nodes.push(h("br"));
    quote = null;
    nodes.push(...inline(line, world));
  }
  return nodes;
}

// Marks begin and end at the edge of a word, as in Slack.
const MARKS = /(`[^`\n]+`)|(<[^<>\n]+>)|(?<![\p{L}\p{N}])(\*(?!\s)[^*\n]+?(?<!\s)\*|_(?!\s)[^_\n]+?(?<!\s)_|~(?!\s)[^~\n]+?(?<!\s)~)(?![\p{L}\p{N}])/u;

function inline(text, world) {
  const nodes = [];
  let rest = text;
  for (let found = MARKS.exec(rest); found; found = MARKS.exec(rest)) {
    if (found.index) nodes.push(withEmoji(unescaped(rest.slice(0, found.index))));
    nodes.push(marked(found, world));
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) nodes.push(withEmoji(unescaped(rest)));
  return nodes;
}

const EMPHASIS = { "*": "strong", _: "em", "~": "s" };

function marked([whole, code, reference], world) {
  if (code) return h("code", {}, unescaped(code.slice(1, -1)));
  if (reference) return referred(reference.slice(1, -1), world);
  return h(EMPHASIS[whole[0]], {}, inline(whole.slice(1, -1), world));
}

function referred(inner, world) {
  const [target, ...labels] = inner.split("|");
  const label = unescaped(labels.join("|"));
  if (target.startsWith("@")) return mention(`@${world.personName(target.slice(1)) ?? (label || target.slice(1))}`);
  if (target.startsWith("#")) return mention(`#${world.channelName(target.slice(1)) ?? (label || target.slice(1))}`);
  if (target.startsWith("!date^")) {
    const [, seconds, format, link] = target.split("^");
    const said = moment(Number(seconds), format, world) ?? label;
    return h("time", { datetime: new Date(Number(seconds) * 1000).toISOString() }, link ? outward(link, said) : said);
  }
  if (target.startsWith("!subteam^")) return mention(label || "@group");
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`);
  return outward(unescaped(target), label || unescaped(target.replace(/^mailto:/, "")));
}

function mention(text) {
  return h("span", { class: "mention" }, text);
}

/** A link that leaves the page; only the kinds that a message may hold. */
export function outward(url, label) {
  if (!/^(https?:|mailto:)/i.test(url)) return label;
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label);
}

const DATE_TOKENS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

/** Slack's date format in the reader's language and zone; null where a token is not known. */
export function moment(seconds, format, world) {
  if (!Number.isFinite(seconds)) return null;
  const when = new Date(seconds * 1000);
  let good = true;
  const text = format.replace(/\{(\w+)\}/g, (_, token) => {
    const pretty = token.endsWith("_pretty");
    const options = DATE_TOKENS[token.replace(/_pretty$/, "")];
    if (!options) good = false;
    return (pretty && nearDay(when, world)) || (options ? shown(when, options, world) : "");
  });
  return good ? text : null;
}

function shown(when, options, world) {
  return new Intl.DateTimeFormat(world.locale, { ...options, timeZone: world.zone }).format(when);
}

function nearDay(when, world) {
  const day = (date) => shown(date, DATE_TOKENS.date_num, { locale: "en-CA", zone: world.zone });
  const names = new Intl.RelativeTimeFormat(world.locale, { numeric: "auto" });
  for (const offset of [-1, 0, 1]) {
    if (day(when) === day(new Date(Date.now() + offset * 86_400_000))) return names.format(offset, "day");
  }
  return null;
}

// --- rich text

export function richText(block, world) {
  return h("div", { class: "rich" }, block.elements.map((element) => richBlock(element, world)));
}

function richBlock(element, world) {
  const runs = () => element.elements.map((run) => richRun(run, world));
  switch (element.type) {
    case "rich_text_list":
      return h(element.style === "ordered" ? "ol" : "ul", { class: `indent-${element.indent ?? 0}` }, element.elements.map((item) => h("li", {}, item.elements.map((run) => richRun(run, world)))));
    case "rich_text_quote":
      return h("blockquote", {}, runs());
    case "rich_text_preformatted":
      return h("pre", {}, runs());
    default:
      return h("p", {}, runs());
  }
}

function richRun(run, world) {
  let node;
  switch (run.type) {
    case "link": node = outward(run.url, run.text ?? run.url); break;
    case "emoji": node = withEmoji(`:${run.name}:`); break;
    case "user": node = mention(`@${world.personName(run.user_id) ?? run.user_id}`); break;
    case "channel": node = mention(`#${world.channelName(run.channel_id) ?? run.channel_id}`); break;
    case "usergroup": node = mention("@group"); break;
    case "broadcast": node = mention(`@${run.range}`); break;
    case "date": node = moment(run.timestamp, run.format, world) ?? run.fallback ?? ""; break;
    default: node = h("span", {}, lines(run.text ?? ""));
  }
  const style = run.style ?? {};
  for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
    if (style[name]) node = h(tag, {}, node);
  }
  return node;
}
