// Getting about with the keyboard: F6 goes to the next part of the page and Shift+F6 to the one before, as in Slack.

const by = (id) => document.getElementById(id);

// Where each part is entered: the first of these that is there.
const ENTRIES = {
  sidebar: ["[name=person]:checked"],
  stage: ["#composer-input", "#scroll"],
  thread: ["#thread-composer-input"],
  panes: ["[role=tab][aria-selected=true]"],
};

const isSeen = (element) => element.checkVisibility({ visibilityProperty: true });
const entry = (part) => ENTRIES[part].map((one) => by(part).querySelector(one)).find((one) => one && isSeen(one));

/**
 * While one of `modals` is open, F6 leads from it to Backstage and back. So does Escape there: it closes no form that
 * somebody has left to look something up. `showPanes(on)` opens Backstage, and shuts it again where it lies over the rest.
 */
export function regions({ modals, showPanes }) {
  document.addEventListener("keydown", (event) => {
    const leadsBack = modals.isOpen && !modals.hasFocus;
    if (event.defaultPrevented || !(event.key === "F6" || (event.key === "Escape" && leadsBack)) || document.querySelector("dialog:modal")) return;
    event.preventDefault();
    if (!modals.isOpen) {
      toNext(event.shiftKey ? -1 : 1);
      return;
    }
    showPanes(!leadsBack);
    if (leadsBack) modals.enter();
    else entry("panes").focus();
  });
}

function toNext(step) {
  const parts = Object.keys(ENTRIES).filter((part) => entry(part));
  const at = parts.findIndex((part) => by(part).contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : -1) : (at + step) % parts.length;
  entry(parts.at(next)).focus();
}
