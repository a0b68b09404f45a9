// Emoji by the names that Slack gives them. The ones that tell how things stand are drawn; the others are left to the
// machine's fonts.

import { h, svg } from "./dom.js";

const SIGNS = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", information_source: "ℹ️", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", octagonal_sign: "🛑", fast_forward: "⏩", tada: "🎉", wave: "👋", rocket: "🚀", eyes: "👀",
  bulb: "💡", lock: "🔒", key: "🔑", bell: "🔔", mag: "🔍", memo: "📝", chart_with_upwards_trend: "📈", arrow_right: "➡️",
  repeat: "🔁", pause_button: "⏸️", double_vertical_bar: "⏸️", arrow_forward: "▶️", red_circle: "🔴", large_green_circle: "🟢",
  large_blue_circle: "🔵", large_yellow_circle: "🟡", "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", no_entry: "⛔",
  question: "❓", exclamation: "❗", clock1: "🕐", calendar: "📅", ferry: "⛴️", ship: "🚢", package: "📦", inbox_tray: "📥",
  outbox_tray: "📤", gear: "⚙️", link: "🔗", email: "📧", busts_in_silhouette: "👥", bust_in_silhouette: "👤", star: "⭐",
  sparkles: "✨", zzz: "💤", construction: "🚧", point_right: "👉", point_down: "👇", heart: "❤️", smile: "😄", thinking_face: "🤔",
  raised_hands: "🙌", pray: "🙏", fire: "🔥", broken_heart: "💔", trash: "🗑️", wastebasket: "🗑️", pencil2: "✏️", mailbox: "📫",
};

const DISC = "M10 1.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17Z";
const TILE = "M4 1.5h12A2.5 2.5 0 0 1 18.5 4v12a2.5 2.5 0 0 1-2.5 2.5H4A2.5 2.5 0 0 1 1.5 16V4A2.5 2.5 0 0 1 4 1.5Z";
const OCTAGON = "M6.5 1.5h7l5 5v7l-5 5h-7l-5-5v-7z";
const GLASS = "M5 2h10v2.5c0 2.5-2 4-3.5 5.5 1.5 1.5 3.5 3 3.5 5.5V18H5v-2.5C5 13 7 11.5 8.5 10 7 8.5 5 7 5 4.5z";
const GREEN = "#1f9d5c";
const RED = "#d93b3b";
const AMBER = "#f0b429";
const BLUE = "#3b7ddd";
const BROWN = "#a9713a";

const fill = (d, colour) => ({ d, fill: colour });
const line = (d, colour, width = 2.2) => ({ d, fill: "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" });

const DRAWN = {
  white_check_mark: [fill(TILE, GREEN), line("M5.5 10.3l3 3.2 6-7", "#fff")],
  heavy_check_mark: [line("M3.5 10.5l4.2 4.5L16.5 5", GREEN, 2.8)],
  x: [line("M4.5 4.5l11 11M15.5 4.5l-11 11", RED, 3)],
  warning: [{ ...fill("M10 2.5L18.5 17.5H1.5z", AMBER), stroke: AMBER, "stroke-width": 1.8, "stroke-linejoin": "round" }, line("M10 7.5v4.5M10 15v.01", "#3d2b00")],
  octagonal_sign: [fill(OCTAGON, RED), line("M6 10h8", "#fff", 2.6)],
  no_entry: [fill(DISC, RED), line("M6 10h8", "#fff", 2.8)],
  information_source: [fill(TILE, BLUE), line("M10 9.5v5M10 5.8v.01", "#fff")],
  hourglass: [fill(GLASS, "#dbe7f5"), fill("M6 17.5c0-3 2.5-3.5 4-3.5s4 .5 4 3.5z", AMBER), line("M4.5 2h11M4.5 18h11", BROWN)],
  hourglass_flowing_sand: [fill(GLASS, "#dbe7f5"), fill("M6.5 5h7C13 7.5 10 8.5 10 10 10 8.5 7 7.5 6.5 5ZM7 17.5c.5-2 2-2.5 3-2.5s2.5.5 3 2.5z", AMBER), line("M10 9.5v5", AMBER, 1), line("M4.5 2h11M4.5 18h11", BROWN)],
  fast_forward: [fill(TILE, BLUE), fill("M4.5 6l5 4-5 4zM10 6l5.5 4L10 14z", "#fff")],
  arrow_forward: [fill(TILE, BLUE), fill("M7 5l8 5-8 5z", "#fff")],
  pause_button: [fill(TILE, BLUE), line("M7.7 6v8M12.3 6v8", "#fff", 2.4)],
  double_vertical_bar: [fill(TILE, BLUE), line("M7.7 6v8M12.3 6v8", "#fff", 2.4)],
  repeat: [fill(TILE, BLUE), line("M5.5 9V8a2 2 0 0 1 2-2h7l-2-2M14.5 11v1a2 2 0 0 1-2 2h-7l2 2", "#fff", 1.8)],
  arrow_right: [fill(TILE, BLUE), line("M5 10h10M11 6l4 4-4 4", "#fff")],
  red_circle: [fill(DISC, RED)],
  large_green_circle: [fill(DISC, GREEN)],
  large_blue_circle: [fill(DISC, BLUE)],
  large_yellow_circle: [fill(DISC, AMBER)],
  bell: [fill("M10 2a5 5 0 0 0-5 5c0 4-1.5 5.5-2 7h14c-.5-1.5-2-3-2-7a5 5 0 0 0-5-5Z", AMBER), line("M8.5 16.5c.5 1.2 2.5 1.2 3 0", BROWN)],
  bulb: [fill("M10 1.5a6 6 0 0 0-3 11c.5.4.7 1 .7 2h4.6c0-1 .2-1.6.7-2a6 6 0 0 0-3-11Z", AMBER), line("M8 16.5h4M8.7 18.5h2.6", "#8a94a0", 1.6)],
  lock: [fill("M4 9h12v9.5H4z", AMBER), line("M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9", "#8a94a0")],
  calendar: [fill("M2.5 4h15v14h-15z", "#dbe7f5"), fill("M2.5 4h15v4h-15z", RED), line("M6 2.5v3M14 2.5v3", "#5c6773", 1.6), line("M6 11.5h.01M10 11.5h.01M14 11.5h.01M6 15h.01M10 15h.01", "#5c6773")],
  tada: [fill("M2 18.5L6.5 7l7 7z", AMBER), line("M9 5c1-1 1-2 .5-3M12.5 8C14 6.5 14.5 5 14 3M15 11.5c1.3-.6 2.5-.4 3.5.3", BLUE, 1.5), line("M17 5.5v.01M11 2v.01M17.5 8.5v.01", RED, 2)],
  sparkles: [fill("M8 3l1.7 5.3L15 10l-5.3 1.7L8 17l-1.7-5.3L1 10l5.3-1.7zM15.5 1.5l.8 2.2 2.2.8-2.2.8-.8 2.2-.8-2.2-2.2-.8 2.2-.8z", AMBER)],
  ferry: [fill("M1.5 12h17l-2.5 5H4z", BLUE), fill("M5 7.5h10V12H5z", "#dbe7f5"), line("M8 9.7h.01M12 9.7h.01", BLUE), line("M10 7V4", RED, 3)],
};

const NAMED = /:([a-z0-9_+-]+)(?:::skin-tone-\d)?:/;

/** Emoji names in a plain text as signs. */
export function withEmoji(text) {
  return text.replace(new RegExp(NAMED, "g"), (whole, name) => SIGNS[name] ?? whole);
}

/** One emoji as a node; null where there is none of this name. */
export function emoji(name) {
  if (DRAWN[name]) {
    return svg("svg", { viewBox: "0 0 20 20", class: "emoji", role: "img", "aria-label": name.replaceAll("_", " ") }, DRAWN[name].map((path) => svg("path", path)));
  }
  return SIGNS[name] ? h("span", { class: "emoji-sign" }, SIGNS[name]) : null;
}

/** A text with its emoji names as nodes. */
export function emojified(text) {
  const nodes = [];
  let rest = text;
  for (let found = NAMED.exec(rest); found; found = NAMED.exec(rest)) {
    const made = emoji(found[1]);
    const before = rest.slice(0, found.index);
    // A name that is none may begin inside what looked like one (12:30:white_check_mark:): look again from its end.
    const end = made ? found.index + found[0].length : found.index + found[0].length - 1;
    nodes.push(made ? before : rest.slice(0, end), ...(made ? [made] : []));
    rest = rest.slice(end);
  }
  return [...nodes, rest].filter((node) => node !== "");
}
