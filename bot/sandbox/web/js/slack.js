// The workspace as one person sees it: channels, messages, the app's Home, modals. It shows what the app sends and tells
// the stand-in what the person does; it knows nothing of the app.

import { Acts } from "./acts.js";
import { get, request } from "./api.js";
import { showBlocks } from "./blocks.js";
import { Composer } from "./composer.js";
import { coalesced, frame, h, reconcile, tabs } from "./dom.js";
import { showMessages, threaded } from "./messages.js";
import { Modals } from "./modals.js";
import { announce, toast } from "./notices.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";
import { words } from "./words.js";
import { APP, Unread, World } from "./world.js";

const AT_ONCE = 100; // messages of a channel that are shown; earlier ones come when they are asked for
const NEAR_END = 80; // pixels from the end within which new messages are followed
const by = (id) => document.getElementById(id);

export class Slack {
  constructor() {
    this.world = new World();
    this.unread = new Unread(this.world);
    this.place = sessionStorage.getItem("sandbox-place") ?? "";
    this.tab = "home";
    this.messages = [];
    this.heard = new Map(); // by person and channel: the newest message that was said aloud
    this.readMessages = coalesced(() => this.fetchMessages());
    this.readView = coalesced(() => this.fetchView());
    this.readWorld = coalesced(() => this.fetchWorld());
    const acts = new Acts(this.world, () => Promise.all([this.readView(), this.readMessages()]));
    this.act = (name, body) => acts.act(name, body);
    this.placeFor = (surface, extra) => acts.placeFor(surface, extra);
    this.placeOf = (message) => acts.placeFor(message.channel, { ts: message.ts });
    this.sidebar = new Sidebar({
      world: this.world, unread: this.unread, become: (id) => this.become(id), speak: (locale) => this.change({ locale }), go: (place) => this.go(place),
    });
    this.composer = new Composer(by("composer"), { send: (text) => this.send(text), commands: () => this.world.commands });
    this.thread = new Thread({ world: this.world, placeFor: this.placeOf, say: (text, ts) => this.act("say", { text, channel: this.channel, thread_ts: ts }).then(Boolean) });
    this.modals = new Modals({
      place: () => this.placeFor("modal", { submit: () => this.modals.submit() }),
      submit: () => this.act("submit"),
      close: (all) => this.act("close", { all }),
    });
    this.chooseTab = tabs(by("app-tabs"), (tab) => this.openTab(tab.dataset.tab));
    by("to-newest").addEventListener("click", () => this.toNewest());
    by("earlier").addEventListener("click", () => this.showEarlier());
    by("scroll").addEventListener("scroll", () => {
      if (this.isAtEnd()) by("to-newest").hidden = true;
    }, { passive: true });
  }

  /** Begin, or go on after the connection was lost: everything may have changed. */
  async again() {
    await this.world.read();
    await this.unread.read();
    if (!this.isPlace(this.place)) this.place = this.home;
    this.sidebar.show(this.place);
    if (this.begun) {
      this.head();
      await Promise.all([this.readMessages(), this.readView()]);
      return;
    }
    await this.arrive();
    this.begun = true;
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
        case "notice": view ||= mine(change); break;
      }
    }
    if (world) this.readWorld();
    if (messages) this.readMessages();
    if (view) this.readView();
  }

  // --- acting

  async send(text) {
    const channel = this.place === APP ? "dm" : this.place;
    const sent = Boolean(await this.act(text.startsWith("/") ? "command" : "say", { text, channel }));
    if (sent) this.toNewest();
    return sent;
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
    return place === APP || [...this.world.joined, ...this.world.direct].some((one) => one.id === place);
  }

  /** The channel in sight; in the app's own place the direct one. */
  get channel() {
    return this.place === APP ? this.world.directChannel(this.world.me.id) : this.place;
  }

  get atHome() {
    return this.place === APP && this.tab === "home";
  }

  async become(id) {
    this.world.become(id);
    if (!this.isPlace(this.place)) this.place = this.home;
    this.modals.forget();
    by("home").replaceChildren(); // it was somebody else's
    this.sidebar.show(this.place);
    await this.arrive();
    await this.readView();
    announce(`You are ${this.world.me.real_name} now.`);
  }

  async go(place) {
    this.place = place;
    sessionStorage.setItem("sandbox-place", place);
    document.body.classList.remove("menu-open");
    this.sidebar.show(place);
    await this.arrive();
    by("composer-input").focus();
  }

  async openTab(tab) {
    this.tab = tab;
    this.thread.close({ refocus: false });
    this.startReading();
    this.head();
    if (tab === "home") await this.openHome();
    else await this.act("open_home", { tab: "messages" });
    await this.readMessages();
  }

  async arrive() {
    this.thread.close({ refocus: false });
    this.startReading();
    this.head();
    by("messages").replaceChildren();
    if (this.atHome) await this.openHome();
    await Promise.all([this.readMessages(), this.readView()]);
  }

  /** From here on, what was not looked at before is marked as new for as long as one stays. */
  startReading() {
    this.fresh = true;
    this.unreadFrom = null;
    this.most = AT_ONCE;
    this.lookedAt = this.unread.lookedAt(this.world.me.id, this.channel);
    by("to-newest").hidden = true;
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
    this.sidebar.show(this.place);
    this.head();
  }

  async fetchMessages() {
    const { me } = this.world;
    const { place } = this;
    const { messages, channel } = await get(`slack/people/${me.id}/channels/${place === APP ? "dm" : place}/messages`);
    if (this.world.me.id !== me.id || this.place !== place) return;
    if (!this.world.channel(channel)) await this.fetchWorld();
    await frame();
    this.show(messages, channel);
    if (!this.atHome) this.unread.look(me.id, channel, messages.at(-1)?.ts);
    this.badges();
  }

  async fetchView() {
    const { me } = this.world;
    const { modals, home } = await get(`slack/people/${me.id}/view`);
    if (this.world.me.id !== me.id) return;
    await frame();
    this.modals.show(modals, this.world);
    by("home").hidden = !this.atHome;
    if (this.atHome) this.showHome(home);
  }

  showHome(home) {
    const container = by("home");
    if (home) showBlocks(container, home.blocks, this.placeFor("home"), { values: home.state.values });
    else container.replaceChildren(h("p", { class: "muted" }, "The app has published nothing here yet."));
  }

  head() {
    const { world } = this;
    const isApp = this.place === APP;
    const channel = world.channel(this.place);
    const isDirect = channel && ["im", "mpim"].includes(channel.kind);
    const name = isApp ? world.bot.real_name : isDirect ? world.conversationName(channel) : `#${channel?.name ?? ""}`;
    by("place-name").textContent = isApp || isDirect ? name : `# ${channel?.name ?? ""}`;
    by("place-topic").textContent = isApp ? "App" : `${channel?.members.length ?? 0} members${channel?.kind === "private" ? ", private" : ""}`;
    this.title = `${name} – Sandbox workspace`;
    by("app-tabs").hidden = !isApp;
    if (isApp) this.appTabs();
    by("home").hidden = !this.atHome;
    by("messages").hidden = this.atHome;
    by("nothing").hidden = true;
    by("scroll").setAttribute("aria-label", this.atHome ? "Home" : "Messages");
    this.composer.aim(`Message ${name}`, !this.atHome);
    this.badges();
  }

  badges() {
    this.sidebar.badges();
    const { world } = this;
    const count = [...world.joined.map((one) => one.id), world.directChannel(world.me.id)].reduce((sum, one) => sum + this.unread.of(world.me.id, one), 0);
    document.title = count ? `(${count}) ${this.title}` : this.title;
    if (this.place === APP) this.appTabs();
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

  show(messages, channel) {
    const { roots: all, threads } = threaded(messages);
    const wasAtEnd = this.fresh || this.isAtEnd();
    if (this.fresh) this.markUnread(all);
    const roots = all.slice(-this.most);
    by("earlier").hidden = this.atHome || roots.length === all.length;
    const before = this.messages.at(-1)?.ts ?? "0";
    this.messages = messages;
    showMessages(by("messages"), roots, {
      world: this.world, placeFor: this.placeOf, threads, unreadFrom: this.unreadFrom, thread: (ts) => this.thread.open(ts, this.messages, by("place-name").textContent),
    });
    this.thread.show(messages);
    by("nothing").hidden = this.atHome || roots.length > 0;
    if (!roots.length) by("nothing").replaceChildren(...this.welcome());
    if (this.atHome) by("to-newest").hidden = true;
    else if (wasAtEnd) this.toNewest();
    else if (Number(roots.at(-1)?.ts ?? 0) > Number(before)) by("to-newest").hidden = false;
    this.fresh = false;
    this.sayNew(messages, channel);
  }

  markUnread(roots) {
    if (!this.lookedAt || this.atHome) return;
    const first = roots.findIndex((one) => Number(one.ts) > Number(this.lookedAt) && one.user !== this.world.me.id && !one.ephemeral);
    if (first < 0) return;
    this.unreadFrom = roots[first].ts;
    this.most = Math.max(this.most, roots.length - first);
  }

  /** Show more of what was said before; what is in sight stays where it is. */
  showEarlier() {
    const scroll = by("scroll");
    const below = scroll.scrollHeight - scroll.scrollTop;
    this.most += AT_ONCE;
    this.show(this.messages, this.channel);
    scroll.scrollTop = scroll.scrollHeight - below;
    if (by("earlier").hidden) scroll.focus({ preventScroll: true });
  }

  isAtEnd() {
    const scroll = by("scroll");
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END;
  }

  toNewest() {
    by("scroll").scrollTop = by("scroll").scrollHeight;
    by("to-newest").hidden = true;
  }

  welcome() {
    const tries = this.world.commands.map((one) => [
      h("p", {}, "Type ", h("code", {}, one.command), ` below. ${one.description ?? ""}.`),
      h("p", {}, h("button", { type: "button", class: "button primary", onclick: () => this.send(one.command).then(() => by("composer-input").focus()) }, `Try ${one.command}`)),
    ]);
    return [h("p", { class: "nothing-head" }, "Nothing was said here yet."), ...tries.flat(), h("p", { class: "muted" }, "You can be anybody: choose a person at the left.")];
  }

  /** Say new messages to those who listen; what was there on arrival is not new. */
  sayNew(messages, channel) {
    const key = `${this.world.me.id} ${channel}`;
    const last = this.heard.get(key);
    this.heard.set(key, messages.at(-1)?.ts ?? "0");
    if (last === undefined) return;
    for (const message of messages) {
      if (Number(message.ts) > Number(last) && message.user !== this.world.me.id) announce(`${this.world.realName(message.user)}: ${spoken(message.text, this.world)}`);
    }
  }
}

function spoken(text, world) {
  return h("p", {}, words({ type: "mrkdwn", text }, world)).textContent;
}
