// What the page knows of the workspace, and who is looking.

import { get } from "./api.js";

/** Languages that Slack offers; a person's own is added where it is another. */
export const LOCALES = ["en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "pt-BR", "ja-JP", "ko-KR", "zh-CN", "zh-TW"];

/** The place that is not a channel: the app's own. */
export const APP = "app";

const TONES = 6; // colours for the pictures of people

export class World {
  constructor() {
    this.people = [];
    this.channels = [];
    this.groups = [];
    this.commands = [];
    this.me = null;
    this.stamp = 0; // rises when names that blocks show may have changed
  }

  async read() {
    const state = await get("slack/state");
    const before = this.names();
    Object.assign(this, { people: state.people.map((one, at) => ({ ...one, tone: at % TONES })), channels: state.channels, groups: state.groups, commands: state.app.commands, team: state.team, version: state.version });
    this.bot = this.people.find((one) => one.is_bot);
    const wanted = this.me?.id ?? sessionStorage.getItem("sandbox-person");
    this.me = this.humans.find((one) => one.id === wanted) ?? this.humans[0];
    if (before !== this.names()) this.stamp += 1;
  }

  names() {
    return JSON.stringify([this.people, this.groups, this.channels.map((one) => [one.id, one.name])]);
  }

  become(id) {
    this.me = this.humans.find((one) => one.id === id);
    sessionStorage.setItem("sandbox-person", id);
    this.stamp += 1;
  }

  get humans() {
    return this.people.filter((one) => !one.is_bot && !one.deleted);
  }

  get locale() {
    return this.me?.locale ?? "en-US";
  }

  get zone() {
    return this.me?.tz;
  }

  /** The channels in the sidebar: those of which the person is a member. */
  get joined() {
    return this.channels.filter((one) => ["public", "private"].includes(one.kind) && !one.archived && one.members.includes(this.me.id));
  }

  /** Direct conversations with others than the app alone. */
  get direct() {
    const own = this.directChannel(this.me.id);
    return this.channels.filter((one) => ["im", "mpim"].includes(one.kind) && one.id !== own && one.members.includes(this.me.id));
  }

  person(id) {
    return this.people.find((one) => one.id === id);
  }

  personName(id) {
    return this.person(id)?.name;
  }

  realName(id) {
    return this.person(id)?.real_name ?? id;
  }

  /** What a direct conversation is called: the others in it. */
  conversationName(channel) {
    return channel.members.filter((one) => one !== this.me.id).map((one) => this.realName(one)).join(", ");
  }

  channelName(id) {
    return this.channels.find((one) => one.id === id)?.name;
  }

  /** The direct conversation of a person with the app, if it was opened before. */
  directChannel(person) {
    return this.channels.find((one) => one.kind === "im" && one.members.includes(person) && one.members.includes(this.bot.id))?.id;
  }

  channel(id) {
    return this.channels.find((one) => one.id === id);
  }

  fileAddress(id, name) {
    return `files/${this.me.id}/${id}/${encodeURIComponent(name)}`;
  }
}

/** What each person has not looked at yet, by channel. Kept in the browser for as long as the tab lives. */
export class Unread {
  constructor(world) {
    this.world = world;
    this.counts = new Map(); // "person channel" → messages
    this.seen = JSON.parse(sessionStorage.getItem("sandbox-seen") ?? "{}");
  }

  /** Begin with what was told before this page was open. */
  async read() {
    this.counts.clear();
    const all = await Promise.all(this.world.humans.map((one) => get(`slack/people/${one.id}/notifications`)));
    for (const { notifications } of all) notifications.forEach((one) => this.told(one));
  }

  /** Count a notification. Edits and what only one person sees notify nobody. */
  told({ person, channel, ts, notified }) {
    const key = `${person} ${channel}`;
    if (!notified || Number(ts) <= Number(this.seen[key] ?? 0)) return;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  look(person, channel, ts) {
    const key = `${person} ${channel}`;
    this.counts.delete(key);
    if (!ts || this.seen[key] === ts) return;
    this.seen[key] = ts;
    sessionStorage.setItem("sandbox-seen", JSON.stringify(this.seen));
  }

  forget() {
    this.counts.clear();
    this.seen = {};
  }

  /** The newest message that the person has looked at, or null. */
  lookedAt(person, channel) {
    return this.seen[`${person} ${channel}`] ?? null;
  }

  of(person, channel) {
    return this.counts.get(`${person} ${channel}`) ?? 0;
  }

  /** What waits for somebody in direct messages: the ones that want an answer. */
  direct(person) {
    return this.of(person, this.world.directChannel(person));
  }
}
