// Dates and times: Slack's date format, and wall clocks of other time zones.

const DATE_TOKENS = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  day_divider: { weekday: "long", month: "long", day: "numeric" },
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};

/** Slack's date format in the reader's language and zone; null where a token is not known. */
export function moment(seconds, format, world) {
  if (!Number.isFinite(seconds)) return null;
  const when = new Date(seconds * 1000);
  let good = true;
  const text = format.replace(/\{(\w+)\}/g, (_, token) => {
    if (token === "ago") return ago(when, world);
    const options = DATE_TOKENS[token.replace(/_pretty$/, "")];
    if (!options) good = false;
    return (token.endsWith("_pretty") && nearDay(when, world)) || (options ? shown(when, options, world) : "");
  });
  return good ? text : null;
}

/** The time of day, as it stands beside a message. */
export const timeOfDay = (when, world) => shown(when, DATE_TOKENS.time, world);

/** A day as a heading: "Today", or its date. */
export function dayName(when, world) {
  const near = nearDay(when, world);
  return near ? near[0].toLocaleUpperCase(world.locale) + near.slice(1) : shown(when, DATE_TOKENS.day_divider, world);
}

/** A key that two moments of one day share. */
export const dayKey = (when, world) => shown(when, DATE_TOKENS.date_num, { locale: "en-CA", zone: world.zone });

const formats = new Map(); // making one is slow, and a long channel needs many

function shown(when, options, { locale, zone }) {
  const key = JSON.stringify([locale, zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: zone }));
  return formats.get(key).format(when);
}

function nearDay(when, world) {
  const names = new Intl.RelativeTimeFormat(world.locale, { numeric: "auto" });
  const offset = [-1, 0, 1].find((days) => dayKey(when, world) === dayKey(new Date(Date.now() + days * 86_400_000), world));
  return offset === undefined ? null : names.format(offset, "day");
}

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

function ago(when, world) {
  const seconds = (when.getTime() - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, one]) => Math.abs(seconds) >= one) ?? UNITS.at(-1);
  return new Intl.RelativeTimeFormat(world.locale, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

// --- wall clocks

/** What the clocks of a zone show at a moment, as a `datetime-local` field holds it: `2026-11-30T07:30`. */
export function wallClock(seconds, zone) {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  }).formatToParts(new Date(seconds * 1000));
  const part = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

/** The moment at which the clocks of a zone show this; in a gap between two times, the later reading. */
export function momentOf(wall, zone) {
  const wanted = Date.parse(`${wall}:00Z`) / 1000;
  const ahead = (at) => Date.parse(`${wallClock(at, zone)}:00Z`) / 1000 - at;
  const guess = wanted - ahead(wanted);
  return wanted - ahead(guess);
}
