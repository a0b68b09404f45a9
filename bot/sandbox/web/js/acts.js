// What a person does, told to the stand-in: one at a time for each element, never before what was typed, and a form not
// before what was chosen in it.

import { post } from "./api.js";
import { confirmed } from "./modals.js";
import { toast } from "./notices.js";

const QUIET = new Set(["type", "suggest"]); // acts that change nothing but their own element

export class Acts {
  /** `refresh()` reads anew what is in sight. */
  constructor(world, refresh) {
    this.world = world;
    this.refresh = refresh;
    this.typing = new Set();
    this.using = new Set();
  }

  /** Act as the person. What the client says about it is shown; what can't be done is, too. Gives the answer or null. */
  async act(name, body = {}) {
    try {
      if (!QUIET.has(name)) await this.typed();
      if (name === "submit") await Promise.all(this.using);
      const answer = await post(`slack/people/${this.world.me.id}/${name}`, body);
      if (answer.notice) toast(answer.notice, "bad");
      if (answer.url) window.open(answer.url, "_blank", "noopener");
      if (!QUIET.has(name)) await this.refresh();
      return answer;
    } catch (error) {
      if (name === "suggest") throw error;
      toast(error.message, "bad");
      return null;
    }
  }

  /** Wait until all that was typed has reached the stand-in. */
  async typed() {
    for (const input of document.querySelectorAll("[data-typed]")) note(this.typing, input.flush());
    await Promise.all(this.typing);
  }

  /** Where elements stand: how they act, and what they know. `surface` is `modal`, `home` or a channel. */
  placeFor(surface, { ts, submit } = {}) {
    const at = { in: surface, ...(ts ? { ts } : {}) };
    return {
      world: this.world,
      submit,
      inDialog: surface === "modal",
      typing: (promise) => note(this.typing, promise),
      act: (name, body) => this.act(name, { ...body, ...at }),
      use: async (element, question, work) => {
        element.pending = (element.pending ?? 0) + 1;
        element.setAttribute("aria-busy", "true");
        const before = element.using;
        element.using = confirmed(question, this.world).then(async (yes) => {
          await before;
          return yes && work(Boolean(question));
        });
        const done = await note(this.using, element.using);
        element.pending -= 1;
        element.removeAttribute("aria-busy");
        if (!done) await this.refresh(); // back to what it holds
      },
    };
  }
}

/** Keep a promise among others for as long as it is open; gives it back. */
function note(open, promise) {
  open.add(promise);
  return promise.finally(() => open.delete(promise));
}
