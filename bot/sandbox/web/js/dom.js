// Making and keeping elements: small helpers instead of a framework.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties (`class`, `on…` handlers, `data`, attributes) and children (nodes, texts, lists, nothing). */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let serial = 0;

/** An id that no other element of the page has. */
export function freshId(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}

/**
 * Make the children of `container` those of `items` ({key, signature, make}), touching only what differs: who types or
 * has the focus in an unchanged part notices nothing. Where a part that has the focus is made anew, the focus goes to
 * what takes its place (the same `data-focus`).
 */
export function reconcile(container, items) {
  const held = heldFocus(container);
  const before = new Map([...container.children].map((child) => [child.reconcileKey, child]));
  let next = container.firstElementChild;
  for (const item of items) {
    let child = before.get(item.key);
    if (child && child.reconcileSignature === item.signature) {
      before.delete(item.key);
    } else {
      child = item.make();
      child.reconcileKey = item.key;
      child.reconcileSignature = item.signature;
    }
    if (child === next) next = next.nextElementSibling;
    else container.insertBefore(child, next);
  }
  for (const gone of before.values()) gone.remove();
  restoreFocus(container, held);
}

function heldFocus(container) {
  const active = document.activeElement;
  if (!active || !container.contains(active) || !active.dataset.focus) return null;
  const at = active.selectionStart ?? null; // null for what holds no text, such as a radio button
  return { key: active.dataset.focus, element: active, typed: at === null ? null : [at, active.selectionEnd] };
}

function restoreFocus(container, held) {
  if (!held || container.contains(held.element)) {
    if (held && document.activeElement !== held.element) held.element.focus({ preventScroll: true });
    return;
  }
  const successor = container.querySelector(`[data-focus="${CSS.escape(held.key)}"]`);
  if (!successor) return;
  successor.focus({ preventScroll: true });
  if (held.typed && (successor.selectionStart ?? null) !== null) successor.setSelectionRange(...held.typed);
}

/** What Tab stops at within `container`, in its order. */
export function tabStops(container) {
  const able = container.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]");
  return [...able].filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }));
}

/** The next moment at which the page draws itself; soon anyway where it does not, as in a hidden tab. */
export function frame() {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, 100);
    requestAnimationFrame(() => {
      clearTimeout(late);
      resolve();
    });
  });
}

/** Run `work` when called, at most once at a time and once more if it was called meanwhile. */
export function coalesced(work) {
  let running = null;
  let again = false;
  return function call() {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      try {
        do {
          again = false;
          await work();
        } while (again);
      } finally {
        running = null;
      }
    })();
    return running;
  };
}

/** A list of tabs that works as such: arrows move, the chosen one is in the tab order. */
export function tabs(list, onchoose) {
  const all = () => [...list.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const one of all()) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
    }
    onchoose(tab);
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const order = all();
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = order.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const tab = order[(at + step + order.length) % order.length];
    tab.focus();
    choose(tab);
  });
  return choose;
}
