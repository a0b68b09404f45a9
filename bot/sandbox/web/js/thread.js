// One thread, beside its channel: the message it began with, the answers, and a box to answer in.

import { Composer } from "./composer.js";
import { showMessages, threaded } from "./messages.js";

const by = (id) => document.getElementById(id);

export class Thread {
  /** `say(text, ts)` sends an answer and gives a promise of whether it was sent; `placeFor(message)` as in messages. */
  constructor({ world, say, placeFor }) {
    this.world = world;
    this.placeFor = placeFor;
    this.ts = null;
    this.list = by("thread-messages");
    this.composer = new Composer(by("thread-composer"), { send: (text) => say(text, this.ts) });
    by("close-thread").addEventListener("click", () => this.close());
    by("thread").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.close();
    });
  }

  get isOpen() {
    return this.ts !== null;
  }

  /** Open the thread of a message, out of those that are in sight. */
  open(ts, messages, place) {
    this.opener = document.activeElement?.dataset.focus ?? null;
    this.ts = ts;
    by("thread").hidden = false;
    document.body.classList.add("thread-open");
    by("thread-place").textContent = place;
    this.composer.aim("Reply in the thread", true);
    this.show(messages);
    this.composer.input.focus();
  }

  close({ refocus = true } = {}) {
    if (!this.isOpen) return;
    this.ts = null;
    by("thread").hidden = true;
    document.body.classList.remove("thread-open");
    this.list.replaceChildren();
    const back = this.opener && document.querySelector(`main [data-focus="${CSS.escape(this.opener)}"]`);
    if (refocus) (back || by("composer-input")).focus();
  }

  /** Show the thread as it is now. */
  show(messages) {
    if (!this.isOpen) return;
    const root = messages.find((one) => one.ts === this.ts);
    if (!root) {
      this.close({ refocus: false });
      return;
    }
    const replies = threaded(messages).threads.get(this.ts) ?? [];
    const grew = replies.length > (this.length ?? 0);
    this.length = replies.length;
    const unthreaded = replies.map((one) => ({ ...one, thread_ts: undefined, subtype: undefined }));
    showMessages(this.list, [root, ...unthreaded], { world: this.world, placeFor: this.placeFor });
    by("thread-count").textContent = replies.length === 1 ? "1 reply" : replies.length ? `${replies.length} replies` : "No replies yet";
    if (grew) by("thread-scroll").scrollTop = by("thread-scroll").scrollHeight;
  }
}
