// The workspace as one person sees it: channels, messages, the app's Home, modals. It shows what the app sends and tells
// the stand-in what the person does; it knows nothing of the app.

import { get, post, request } from "./api.js";
import { showBlocks } from "./blocks.js";
import { Composer } from "./composer.js";
import { announce, coalesced, h, reconcile, tabs, toast } from "./dom.js";
import { confirmed, Modals } from "./modals.js";
import { LOCALES, Unread, World } from "./world.js";
import { withEmoji, words } from "./words.js";

const APP = "app"; // the place that is not a channel
const by = (id) => document.getElementById(id);

export class Slack {
  constructor() {
    this.world = new World();
    this.unread = new Unread(this.world);
    this.place = sessionStorage.getItem("sandbox-place") ?? "";
    this.tab = "home";
    this.typing = new Set();
    this.heard = new Map(); // by channel: the newest message that was said aloud
    this.foldedThreads = new Set();
    this.readMessages = coalesced(() => this.fetchMessages());
    this.readView = coalesced(() => this.fetchView());
    this.readWorld = coalesced(() => this.fetchWorld());
    this.composer = new Composer({ send: (text) => this.send(text), commands: () => this.world.commands });
    this.modals = new Modals({
      place: (surface, extra) => this.placeFor(surface, extra),
      submit: () => this.submit(),
      close: (all) => this.act("close", { all }),
    });
    this.chooseTab = tabs(by("app-tabs"), (tab) => this.openTab(tab.dataset.tab));
    by("person").addEventListener("change", (event) => this.become(event.target.value));
    by("locale").addEventListener("change", (event) => this.change({ locale: event.target.value }));
    document.querySelector(".sidebar").addEventListener("click", (event) => {
      const entry = event.target.closest("[data-place]");
      if (entry) this.go(entry.dataset.place);
    });
  }

  async begin() {
    await this.world.read();
    await this.unread.read();
    if (!this.isPlace(this.place)) this.place = this.home;
    this.showWorld();
    await this.arrive();
    this.begun = true;
  }

  /** After the connection was lost: everything may have changed. */
  async again() {
    if (!this.begun) return this.begin();
    await this.world.read();
    await this.unread.read();
    if (!this.isPlace(this.place)) this.place = this.home;
    this.showWorld();
    await Promise.all([this.readMessages(), this.readView()]);
  }

  // --- what happens

  changed(changes) {
    const mine = (change) => change.person === this.world.me?.id;
    let messages = false;
    let view = false;
    let world = false;
    for (const change of changes) {
      switch (change.type) {
        case "connected": this.again().catch((error) => toast(error.message, "bad")); return;
        case "reset": this.unread.forget(); world = messages = view = true; break;
        case "person": case "channel": case "group": case "app": world = true; break;
        case "message": case "message_changed": case "message_deleted": case "file": messages ||= !change.channel || change.channel === this.channel; break;
        case "view_opened": case "view_updated": case "view_closed": case "view_input": view ||= mine(change); break;
        case "notification": this.unread.told(change); this.badges(); break;
        case "notice": if (mine(change)) view = true; break;
      }
    }
    if (world) this.readWorld();
    if (messages) this.readMessages();
    if (view) this.readView();
  }

  // --- acting

  /** Act as the person. What the client says about it is shown; what can't be done is, too. Gives the answer or null. */
  async act(name, body = {}) {
    try {
      if (name !== "type" && name !== "suggest") await this.typed();
      const answer = await post(`slack/people/${this.world.me.id}/${name}`, body);
      if (answer.notice) toast(answer.notice, "bad");
      if (answer.url) window.open(answer.url, "_blank", "noopener");
      if (name !== "type" && name !== "suggest") await Promise.all([this.readView(), this.readMessages()]);
      return answer;
    } catch (error) {
      if (name === "suggest") throw error;
      toast(error.message, "bad");
      return null;
    }
  }

  /** Wait until all that was typed has reached the stand-in. */
  async typed() {
    for (const input of document.querySelectorAll("[data-typed]")) this.note(input.flush());
    await Promise.all(this.typing);
  }

  note(promise) {
    this.typing.add(promise);
    promise.finally(() => this.typing.delete(promise));
  }

  /** Where elements stand: how they act, and what they know. */
  placeFor(surface, extra = {}) {
    const at = { in: surface, ...(extra.ts ? { ts: extra.ts } : {}) };
    return {
      world: this.world,
      submit: extra.submit,
      typing: (promise) => this.note(promise),
      act: (name, body) => this.act(name, { ...body, ...at }),
      use: async (element, question, work) => {
        element.pending = (element.pending ?? 0) + 1;
        element.setAttribute("aria-busy", "true");
        const done = (await confirmed(question, this.world)) && (await work(Boolean(question)));
        element.pending -= 1;
        element.removeAttribute("aria-busy");
        if (!done) await Promise.all([this.readView(), this.readMessages()]); // back to what it holds
      },
    };
  }

  async submit() {
    await this.act("submit");
  }

  async send(text) {
    const channel = this.place === APP ? "dm" : this.place;
    return Boolean(await this.act(text.startsWith("/") ? "command" : "say", { text, channel }));
  }

  async change(facts) {
    await request("PATCH", `slack/people/${this.world.me.id}`, facts);
    await this.readWorld();
    await Promise.all([this.readView(), this.readMessages()]);
  }

  // --- going places

  get home() {
    return (this.world.joined.find((one) => one.name !== "general") ?? this.world.joined[0])?.id ?? APP;
  }

  isPlace(place) {
    return place === APP || this.world.joined.some((one) => one.id === place);
  }

  /** The channel in sight; in the app's own place the direct one. */
  get channel() {
    return this.place === APP ? this.world.directChannel(this.world.me.id) : this.place;
  }

  async become(id) {
    this.world.become(id);
    if (!this.isPlace(this.place)) this.place = this.home;
    this.modals.shown = null;
    this.showWorld();
    await this.arrive();
    await this.readView();
    announce(`You are ${this.world.me.real_name} now.`);
  }

  async go(place) {
    this.place = place;
    sessionStorage.setItem("sandbox-place", place);
    document.body.classList.remove("menu-open");
    this.showWorld();
    await this.arrive();
    by("composer-input").focus();
  }

  async openTab(tab) {
    this.tab = tab;
    this.head();
    if (tab === "home") await this.openHome();
    else await this.act("open_home", { tab: "messages" });
    await this.readMessages();
  }

  async arrive() {
    this.fresh = true;
    this.head();
    by("messages").replaceChildren();
    if (this.place === APP && this.tab === "home") await this.openHome();
    await Promise.all([this.readMessages(), this.readView()]);
  }

  /** Look at the app's Home. The app may be away; the page shows what was published last. */
  async openHome() {
    by("home").setAttribute("aria-busy", "true");
    await this.act("open_home", { tab: "home" });
    by("home").removeAttribute("aria-busy");
  }

  // --- reading and showing

  async fetchWorld() {
    await this.world.read();
    this.showWorld();
    this.head();
  }

  async fetchMessages() {
    const { me } = this.world;
    const { place } = this;
    const { messages, channel } = await get(`slack/people/${me.id}/channels/${place === APP ? "dm" : place}/messages`);
    if (this.world.me !== me && this.world.me.id !== me.id) return;
    if (this.place !== place) return;
    if (!this.world.channels.some((one) => one.id === channel)) await this.fetchWorld();
    this.showMessages(messages, channel);
    if (this.place !== APP || this.tab === "messages") this.unread.look(me.id, channel, messages.at(-1)?.ts);
    this.badges();
  }

  async fetchView() {
    const { me } = this.world;
    const { modals, home } = await get(`slack/people/${me.id}/view`);
    if (this.world.me.id !== me.id) return;
    this.modals.show(modals, this.world);
    by("home").hidden = !this.atHome;
    if (this.atHome) this.showHome(home);
  }

  get atHome() {
    return this.place === APP && this.tab === "home";
  }

  showHome(home) {
    const container = by("home");
    container.classList.add("blocks");
    if (home) showBlocks(container, home.blocks, this.placeFor("home"), { values: home.state.values });
    else container.replaceChildren(h("p", { class: "muted" }, "The app has published nothing here yet."));
  }

  showWorld() {
    const { world } = this;
    by("team-name").textContent = `${world.team.name} sandbox`;
    const people = world.humans.map((one) => h("option", { value: one.id }, `${one.real_name}${role(one)}`));
    by("person").replaceChildren(...people);
    by("person").value = world.me.id;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const locales = LOCALES.includes(world.locale) ? LOCALES : [world.locale, ...LOCALES];
    by("locale").replaceChildren(...locales.map((one) => h("option", { value: one }, names.of(one))));
    by("locale").value = world.locale;
    const entries = world.joined.map((one) => this.entry(one.id, one.name, one.kind === "private" ? "🔒" : "#"));
    by("channels").replaceChildren(...entries);
    by("apps").replaceChildren(this.entry(APP, world.bot.real_name, "◆"));
    this.badges();
  }

  entry(place, name, sign) {
    const current = this.place === place;
    return h("li", {}, h("button", { type: "button", class: "place", "aria-current": current ? "page" : null, data: { place } },
      h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", { class: "name" }, name), h("span", { class: "badge" })));
  }

  /** The numbers of what was not looked at yet: at channels, and at the other people. */
  badges() {
    const { world } = this;
    for (const button of document.querySelectorAll("[data-place]")) {
      const place = button.dataset.place;
      const count = this.unread.of(world.me.id, place === APP ? world.directChannel(world.me.id) : place);
      const badge = button.querySelector(".badge");
      badge.textContent = count || "";
      badge.setAttribute("aria-label", count ? `${count} new` : "");
      badge.hidden = !count;
    }
    const waiting = world.humans.filter((one) => one.id !== world.me.id && this.unread.direct(one.id));
    const text = waiting.map((one) => `${one.real_name} has ${this.unread.direct(one.id)} new direct ${this.unread.direct(one.id) > 1 ? "messages" : "message"}.`).join(" ");
    if (by("elsewhere").textContent !== text) by("elsewhere").textContent = text;
    if (this.tab === "home" && this.place === APP) this.appTabs();
  }

  head() {
    const { world } = this;
    const isApp = this.place === APP;
    const channel = world.channels.find((one) => one.id === this.place);
    by("place-name").textContent = isApp ? world.bot.real_name : `# ${channel?.name ?? ""}`;
    by("place-topic").textContent = isApp ? "App" : `${channel?.members.length ?? 0} members${channel?.kind === "private" ? ", private" : ""}`;
    document.title = `${isApp ? world.bot.real_name : `#${channel?.name}`} – Sandbox workspace`;
    by("app-tabs").hidden = !isApp;
    if (isApp) this.appTabs();
    by("home").hidden = !this.atHome;
    by("messages").hidden = this.atHome;
    by("nothing").hidden = true;
    by("scroll").setAttribute("aria-label", this.atHome ? "Home" : "Messages");
    this.composer.aim(isApp ? `Message ${world.bot.real_name}` : `Message #${channel?.name ?? ""}`, !this.atHome);
  }

  appTabs() {
    const count = this.unread.of(this.world.me.id, this.world.directChannel(this.world.me.id));
    const wanted = [["home", "Home"], ["messages", count ? `Messages (${count} new)` : "Messages"]];
    reconcile(by("app-tabs"), wanted.map(([tab, label]) => ({
      key: tab,
      signature: `${label} ${this.tab}`,
      make: () => h("button", { role: "tab", type: "button", "aria-selected": String(this.tab === tab), tabindex: this.tab === tab ? 0 : -1, "aria-controls": "scroll", data: { tab, focus: tab } }, label),
    })));
  }

  showMessages(messages, channel) {
    const scroll = by("scroll");
    const atEnd = this.fresh || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    const replies = new Map();
    const roots = [];
    for (const message of messages) {
      if (message.thread_ts && message.thread_ts !== message.ts && message.subtype !== "thread_broadcast") {
        replies.set(message.thread_ts, [...(replies.get(message.thread_ts) ?? []), message]);
      } else roots.push(message);
    }
    reconcile(by("messages"), roots.map((message) => ({
      key: message.ts,
      signature: JSON.stringify([shape(message), (replies.get(message.ts) ?? []).map(shape), this.world.stamp]),
      make: () => this.message(message, replies.get(message.ts) ?? []),
    })));
    for (const message of messages) this.syncMessage(message);
    by("nothing").hidden = this.atHome || roots.length > 0;
    if (!roots.length) by("nothing").replaceChildren(...this.welcome());
    if (atEnd && !this.atHome) scroll.scrollTop = scroll.scrollHeight;
    this.fresh = false;
    this.sayNew(messages, channel);
  }

  welcome() {
    const tries = this.world.commands.map((one) => h("p", {}, "Type ", h("code", {}, one.command), ` below. ${one.description ?? ""}.`));
    return [h("p", { class: "nothing-head" }, "Nothing was said here yet."), ...tries, h("p", { class: "muted" }, "You can be anybody: choose a person at the left.")];
  }

  syncMessage(message) {
    const container = document.querySelector(`[data-ts="${message.ts}"] > .message-main > .blocks`);
    if (container) showBlocks(container, blocksOf(message), this.placeFor(message.channel, { ts: message.ts }), { values: message.state.values });
  }

  message(message, replies) {
    const { world } = this;
    const author = world.people.find((one) => one.id === message.user);
    const when = new Date(Number(message.ts) * 1000);
    const time = new Intl.DateTimeFormat(world.locale, { hour: "numeric", minute: "2-digit", timeZone: world.zone }).format(when);
    const blocks = h("div", { class: "blocks" });
    return h("li", { class: `message ${message.ephemeral ? "ephemeral" : ""}`, data: { ts: message.ts } },
      h("span", { class: `avatar tone-${tone(message.user)}`, "aria-hidden": "true" }, initials(author?.real_name ?? "?")),
      h("div", { class: "message-main" },
        h("p", { class: "message-head" },
          h("strong", {}, author?.real_name ?? message.user), author?.is_bot && h("span", { class: "tag" }, "app"),
          h("time", { datetime: when.toISOString() }, time),
          message.edited && !message.ephemeral && h("span", { class: "muted" }, "(edited)"),
          message.ephemeral && h("span", { class: "only-you" }, "Only visible to you")),
        blocks,
        message.files && h("div", { class: "files" }, message.files.map((file) => this.file(file))),
        message.reactions && h("p", { class: "reactions" }, message.reactions.map((one) => h("span", { class: "reaction" }, `${withEmoji(`:${one.name}:`)} ${one.count}`))),
        replies.length > 0 && this.thread(message.ts, replies)));
  }

  file(file) {
    const address = this.world.fileAddress(file.id, file.name);
    if (/^(png|jpe?g|gif|webp)$/.test(file.filetype)) {
      return h("figure", {}, h("img", { src: address, alt: file.alt_txt || file.title }), h("figcaption", {}, file.title));
    }
    return h("a", { class: "file", href: address, download: file.name },
      h("span", { class: "file-sign", "aria-hidden": "true" }, (file.filetype || "file").slice(0, 4)),
      h("span", {}, h("span", { class: "file-title" }, file.title), h("span", { class: "muted" }, `${new Intl.NumberFormat(this.world.locale).format(file.size)} bytes`)));
  }

  thread(ts, replies) {
    return h("details", {
      class: "thread", open: !this.foldedThreads.has(ts),
      ontoggle: (event) => (event.target.open ? this.foldedThreads.delete(ts) : this.foldedThreads.add(ts)),
    }, h("summary", {}, replies.length === 1 ? "1 reply" : `${replies.length} replies`), h("ol", { class: "messages" }, replies.map((one) => this.message(one, []))));
  }

  /** Say new messages to those who listen; what was there on arrival is not new. */
  sayNew(messages, channel) {
    const key = `${this.world.me.id} ${channel}`;
    const last = this.heard.get(key);
    const newest = messages.at(-1)?.ts ?? "0";
    this.heard.set(key, newest);
    if (last === undefined) return;
    for (const message of messages) {
      if (Number(message.ts) > Number(last) && message.user !== this.world.me.id) announce(`${this.world.realName(message.user)}: ${spoken(message.text, this.world)}`);
    }
  }
}

function spoken(text, world) {
  return h("p", {}, words({ type: "mrkdwn", text }, world)).textContent;
}

/** What of a message its frame shows; blocks are compared one by one later. */
function shape(message) {
  return [message.ts, message.user, message.ephemeral, message.files?.length, message.reactions, Boolean(message.edited)];
}

/** A message's blocks, or its text as one. */
function blocksOf(message) {
  const attached = (message.attachments ?? []).flatMap((one) => one.blocks ?? []);
  const blocks = [...(message.blocks ?? []), ...attached];
  return blocks.length || !message.text ? blocks : [{ type: "section", block_id: "text", text: { type: "mrkdwn", text: message.text } }];
}

function role(person) {
  if (person.is_owner) return " (owner)";
  if (person.is_admin) return " (admin)";
  return person.is_restricted ? " (guest)" : "";
}

function initials(name) {
  return name.split(/\s+/).map((part) => part[0]).slice(0, 2).join("");
}

function tone(id) {
  return [...(id ?? "")].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 5;
}
