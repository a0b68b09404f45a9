"""Every view that the bot can build, each as it would stand in the page."""

import copy
from collections.abc import Iterator

from playwright.async_api import Locator, Page, expect

from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.forms import Form
from tests.unit.view_gallery import Exhibit, exhibits

_SHOW = """
async ([surface, payload, values]) => {
  const { showBlocks } = await import(new URL("web/js/blocks.js", location.href));
  const { Modals } = await import(new URL("web/js/modals.js", location.href));
  const world = { locale: "en-US", zone: "Europe/Berlin", people: [], channels: [], groups: [], me: { id: "U1" },
                  stamp: 0, personName: () => "ada", realName: () => "Ada Owner", channelName: () => "marketing" };
  const nothing = async () => null;
  const place = { world, act: nothing, use: nothing, typing: () => {} };
  document.getElementById("modal").close();
  document.body.classList.remove("modal-open");
  document.getElementById("composer").hidden = true;
  const stage = document.getElementById("home");
  stage.hidden = surface === "modal";
  stage.classList.add("blocks");
  document.getElementById("messages").hidden = document.getElementById("nothing").hidden = true;
  if (surface === "modal") {
    const modals = new Modals({ place: () => place, submit: nothing, close: nothing });
    modals.show([{ id: String(Math.random()), errors: {}, trouble: null, state: { values }, ...payload }], world);
  } else {
    stage.replaceChildren();
    showBlocks(stage, payload.blocks, place, { values });
  }
}
"""

_FREEZE = """
async () => {
  window.fetch = () => new Promise(() => {});
  for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame);
}
"""


def richest() -> Iterator[Exhibit]:
    """Of each function's exhibits the one with the most in it, short and long."""
    chosen: dict[str, Exhibit] = {}
    for exhibit in exhibits():
        known = chosen.get(exhibit.name)
        if known is None or len(str(exhibit.payload)) > len(str(known.payload)):
            chosen[exhibit.name] = exhibit
    yield from chosen.values()


async def freeze(page: Page) -> None:
    """Let the page show what it has asked for, and hear nothing more: it would clear the stage for its own."""
    await page.wait_for_load_state("networkidle")
    await page.evaluate(_FREEZE)


async def show(page: Page, exhibit: Exhibit) -> Locator:
    """Show one in a page that was frozen, which is of no other use from then on; where it stands."""
    payload = _with_ids(exhibit.payload)
    await page.evaluate(_SHOW, [exhibit.surface, payload, Form.fresh(payload.get("blocks", [])).values])
    part = page.locator("#modal" if exhibit.surface == "modal" else "#home")
    await expect(part).to_be_visible()
    return part


def _with_ids(payload: Json) -> Json:
    """As Slack has it: blocks and elements that the bot did not name get ids."""
    named = copy.deepcopy(payload)
    for number, block in enumerate(named.get("blocks", [])):
        block.setdefault("block_id", f"block-{number}")
        for at, element in enumerate(block.get("elements", ())):
            element.setdefault("action_id", f"action-{at}")
    return named
