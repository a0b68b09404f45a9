// Talking to the sandbox's server: everything lies under the address of this page, which holds the token.

export class Refused extends Error {
  constructor(reason, message, detail) {
    super(message);
    this.reason = reason;
    this.detail = detail;
  }
}

/** One request; `path` is relative to the page. Throws `Refused` with the server's own words. */
export async function request(method, path, body) {
  const response = await fetch(path, {
    method,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
  });
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const answer = isJson ? await response.json() : {};
  if (!response.ok) {
    throw new Refused(answer.error ?? "http", answer.message ?? `${method} ${path}: HTTP ${response.status}`, answer);
  }
  return answer;
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) => request("POST", path, body);

const LONGEST_PAUSE = 4000; // milliseconds between two attempts to connect

/** Follow what happens. `handlers` has a function for each sender, and `connected(isConnected)`. */
export function follow(handlers) {
  let pause = 250;
  const connect = () => {
    const socket = new WebSocket(new URL("live", location.href).href.replace(/^http/, "ws"));
    socket.onopen = () => {
      pause = 250;
      handlers.connected(true);
    };
    socket.onmessage = (event) => {
      const told = JSON.parse(event.data);
      handlers[told.from]?.(told);
    };
    socket.onclose = () => {
      handlers.connected(false);
      setTimeout(connect, pause);
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    };
  };
  connect();
}
