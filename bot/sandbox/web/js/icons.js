// The page's own signs, drawn: they look alike everywhere, whatever fonts a machine has.

import { svg } from "./dom.js";

const PATHS = {
  app: "M4 14h16l-2.2 5H6.2L4 14Zm3-1V8h10v5M10 8V4h4v4",
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  dark: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  down: "M12 5v14M6 13l6 6 6-6",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  file: "M6 3.5h8l4.5 4.5v12.5H6zM14 3.5V8h4.5",
  hash: "M9.5 4L7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 8.2a.8.8 0 1 0 0 1.6.8.8 0 0 0 0-1.6Z",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  people: "M9 5a3.2 3.2 0 1 0 0 6.4A3.2 3.2 0 0 0 9 5ZM3 19c.4-3.4 2.8-5 6-5s5.6 1.6 6 5M15.5 5.3a3.2 3.2 0 0 1 0 5.9M17.5 14.5c2 .7 3.2 2.2 3.5 4.5",
  play: "M7 4.5l12 7.5-12 7.5z",
  reply: "M10 7L4.5 12l5.5 5M5 12h8c4 0 6.5 2 6.5 6.5",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM15.5 15.5L20.5 20.5",
  send: "M4 12L20 4.5 15.5 20l-4-6.5zM11.5 13.5L20 4.5",
  side: "M3.5 5h17v14h-17zM14.5 5v14",
  system: "M3.5 5h17v11h-17zM9 20h6M12 16v4",
  warning: "M12 4.5L21 19.5H3zM12 10v4.5M12 17.2v.01",
};

/** A drawn sign, which says nothing to a screen reader: name what it stands on. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}
