// Messages as people read them: by day, one after the other, with what hangs on them.

import { showBlocks } from "./blocks.js";
import { h, reconcile } from "./dom.js";
import { emoji } from "./emoji.js";
import { attachedFile } from "./files.js";
import { icon } from "./icons.js";
import { dayKey, dayName, moment, timeOfDay } from "./moments.js";

const TOGETHER = 180; // seconds within which plain messages of one author stand as one

/**
 * Show messages in `list`. `placeFor(message)` is where the elements of one stand; `unreadFrom` is the `ts` of the first
 * that was not looked at before; `thread`, if given, is called with the `ts` of a message whose thread is asked for.
 */
export function showMessages(list, messages, { world, placeFor, threads = new Map(), unreadFrom = null, thread = null }) {
  reconcile(list, rows(messages, world, unreadFrom).map((row) => (row.message ? messageItem(row, world, threads, thread) : dividerItem(row))));
  for (const message of messages) {
    const container = list.querySelector(`[data-ts="${message.ts}"] > .message-main > .blocks`);
    const signature = JSON.stringify([message, world.stamp]);
    if (container.shownSignature === signature && !container.querySelector("[data-control]")) continue; // the usual case
    container.shownSignature = signature;
    showBlocks(container, blocksOf(message), placeFor(message), { values: message.state.values });
  }
}

/** The messages of a channel, and the replies by the message that they answer. */
export function threaded(messages) {
  const roots = [];
  const threads = new Map();
  for (const message of messages) {
    if (isReply(message)) threads.set(message.thread_ts, [...(threads.get(message.thread_ts) ?? []), message]);
    if (!isReply(message) || message.subtype === "thread_broadcast") roots.push(message);
  }
  return { roots, threads };
}

const isReply = (message) => message.thread_ts && message.thread_ts !== message.ts;

function rows(messages, world, unreadFrom) {
  const made = [];
  let before = null;
  for (const message of messages) {
    const day = dayKey(momentSent(message), world);
    const newDay = day !== before?.day;
    const isNew = message.ts === unreadFrom;
    if (newDay) made.push({ divider: "day", day, label: dayName(momentSent(message), world) });
    if (isNew) made.push({ divider: "new", label: "New" });
    const follows = !newDay && !isNew && isPlain(message) && isPlain(before.message) && before.message.user === message.user
      && Number(message.ts) - Number(before.message.ts) < TOGETHER;
    made.push({ message, follows });
    before = { message, day };
  }
  return made;
}

/** Whether a message is a line of a conversation, rather than something that stands for itself. */
function isPlain(message) {
  return !message.ephemeral && !isReply(message) && !message.blocks?.length && !message.files;
}

function momentSent(message) {
  return new Date(Number(message.ts) * 1000);
}

function dividerItem({ divider, day, label }) {
  return { key: divider === "day" ? `day ${day}` : "new", signature: label, make: () => h("li", { class: `divider divider-${divider}` }, h("span", {}, label)) };
}

function messageItem({ message, follows }, world, threads, thread) {
  const replies = threads.get(message.ts) ?? [];
  return {
    key: message.ts,
    signature: JSON.stringify([shape(message), follows, replies.map((one) => [one.ts, one.user]), world.stamp]),
    make: () => made(message, follows, replies, world, thread),
  };
}

/** What of a message is shown around its blocks, which are compared one by one later. */
function shape(message) {
  return [message.ts, message.user, message.ephemeral, message.files, message.reactions, Boolean(message.edited), message.subtype];
}

function made(message, follows, replies, world, thread) {
  const author = world.person(message.user);
  const name = author?.real_name ?? message.user;
  const when = momentSent(message);
  const time = h("time", { datetime: when.toISOString(), title: moment(Number(message.ts), "{date_long} {time_secs}", world) }, timeOfDay(when, world));
  const edited = message.edited && !message.ephemeral && h("span", { class: "muted small edited" }, "(edited)");
  const shown = h("div", { class: ["message", message.ephemeral && "ephemeral", follows && "follows"].filter(Boolean).join(" "), data: { ts: message.ts } },
    follows ? h("span", { class: "gutter" }, time) : avatar(author, name),
    h("div", { class: "message-main" },
      message.ephemeral && h("p", { class: "only-you" }, icon("eye"), "Only visible to you"),
      follows ? h("span", { class: "unseen" }, `${name}: `) : h("p", { class: "message-head" }, h("strong", {}, name), author?.is_bot && h("span", { class: "tag app-tag" }, "app"), time, edited),
      isReply(message) && message.subtype === "thread_broadcast" && h("p", { class: "muted small" }, "replied to a thread"),
      h("div", { class: "blocks" }),
      follows && edited,
      message.files && h("div", { class: "files" }, message.files.map((file) => attachedFile(file, world))),
      message.reactions && reactions(message.reactions, world),
      replies.length > 0 && thread && threadButton(message, replies, world, thread)));
  return h("li", { class: "message-row" }, shown, thread && !message.ephemeral && h("div", { class: "message-tools" },
    h("button", { type: "button", class: "plain icon-button", "aria-label": `Reply to ${name} in a thread`, title: "Reply in a thread", data: { focus: `reply ${message.ts}` }, onclick: () => thread(message.ts) }, icon("reply"))));
}

function reactions(listed, world) {
  return h("ul", { class: "reactions", "aria-label": "Reactions" }, listed.map((one) => h("li", {
    class: one.users.includes(world.me.id) ? "reaction mine" : "reaction",
    title: `${one.users.map((id) => world.realName(id)).join(", ")} with :${one.name}:`,
  }, emoji(one.name) ?? `:${one.name}:`, h("span", {}, String(one.count)))));
}

function threadButton(message, replies, world, thread) {
  const authors = [...new Set(replies.map((one) => one.user))].slice(0, 3);
  const last = replies.at(-1);
  return h("button", { type: "button", class: "plain thread-button", data: { focus: `thread ${message.ts}` }, onclick: () => thread(message.ts) },
    h("span", { class: "thread-faces", "aria-hidden": "true" }, authors.map((id) => avatar(world.person(id), world.realName(id), "small"))),
    h("strong", {}, replies.length === 1 ? "1 reply" : `${replies.length} replies`),
    h("span", { class: "muted small" }, `last ${shortTime(last, world)}`));
}

/** When a message was sent: the time of day, and the date unless it was today. */
function shortTime(message, world) {
  const isToday = dayKey(momentSent(message), world) === dayKey(new Date(), world);
  return moment(Number(message.ts), isToday ? "{time}" : "{date_short} {time}", world);
}

/** The picture of a person: their initials on a colour of their own. */
export function avatar(person, name, size = "") {
  return h("span", { class: `avatar ${size} tone-${person?.tone ?? 0}`, "aria-hidden": "true" }, person?.is_bot ? icon("app") : initials(name));
}

function initials(name) {
  return name.split(/\s+/).map((part) => part[0]).slice(0, 2).join("");
}

/** A message's blocks, or its text as one. */
function blocksOf(message) {
  const attached = (message.attachments ?? []).flatMap((one) => one.blocks ?? (one.text ? [textBlock(one.text, `attached ${one.id ?? one.text}`)] : []));
  const blocks = [...(message.blocks ?? []), ...attached];
  return blocks.length || !message.text ? blocks : [textBlock(message.text, "text")];
}

function textBlock(text, id) {
  return { type: "section", block_id: id, text: { type: "mrkdwn", text } };
}
