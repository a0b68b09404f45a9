"""`make screenshots`: every view in the page, in light and dark.

A story is played in a real sandbox and photographed at its stations; then each view that the bot can build is shown
with the shortest and the longest data. All pictures go to `build/screenshots` with a page that lists them; the few that
the README shows go to `docs/screenshots`.
"""

import asyncio
import html
import re
import shutil
import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from bot.sandbox.room.command import served
from bot.sandbox.room.house import House, Plan, opened
from tests.browser.conftest import Screen
from tests.browser.gallery import freeze, richest, show
from tests.unit.view_gallery import SHORT

Scheme = Literal["light", "dark"]

PROJECT = Path(__file__).parents[2]
GALLERY = PROJECT / "build" / "screenshots"
README = PROJECT / "docs" / "screenshots"
SHOWN_IN_README = frozenset({"form", "report", "home"})
LARGEST = 200_000  # bytes of a picture that is committed
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZE = {"width": 1200, "height": 700}
TALL = {"width": 1200, "height": 2000}  # for a view by itself
PROFILES = 6_000
ADA, CARL, VERA = "Ada Owner (owner)", "Carl Contributor", "Vera Viewer"
RUN_PATIENCE = 90_000  # milliseconds


@dataclass
class Album:
    """The pictures taken so far: name, caption."""

    pictures: list[tuple[str, str]] = field(default_factory=list)

    async def take(self, page: Page, name: str, caption: str, part: Locator | None = None) -> None:
        """Photograph the page, or a part of it, in both schemes."""
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            path = GALLERY / f"{name}-{scheme}.png"
            await (part or page).screenshot(path=path, animations="disabled")
            if name in SHOWN_IN_README:
                await asyncio.to_thread(_publish, path)
        self.pictures.append((name, caption))

    def bind(self) -> Path:
        """Write the page that lists all pictures."""
        rows = "\n".join(
            f"<section><h2>{html.escape(caption)}</h2>"
            + "".join(f'<img loading="lazy" src="{name}-{scheme}.png" alt="{scheme}">' for scheme in SCHEMES)
            + "</section>"
            for name, caption in self.pictures
        )
        page = GALLERY / "index.html"
        style = "body{font:15px system-ui;margin:24px}img{width:49%;border:1px solid #ccc;margin-right:.5%}"
        page.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Views</title><style>{style}</style>'
            f"<h1>All views, light and dark</h1>{rows}</html>"
        )
        return page


def _publish(path: Path) -> None:
    README.mkdir(parents=True, exist_ok=True)
    small = _deflated(path.read_bytes())
    if len(small) > LARGEST:
        raise SystemExit(f"{path.name} has {len(small):,} bytes, more than {LARGEST:,}: too large to be committed")
    (README / path.name).write_bytes(small)


def _deflated(png: bytes) -> bytes:
    """The same picture, packed as tightly as zlib can: the browser packs for speed."""
    head, at, chunks, packed = png[:8], 8, [], b""
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        elif kind in (b"IHDR", b"IEND"):
            chunks.append((kind, png[at + 8 : at + 8 + length]))
        at += 12 + length
    chunks.insert(1, (b"IDAT", zlib.compress(zlib.decompress(packed), 9)))
    return head + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


async def take_all() -> Path:
    """Play, photograph, and give the gallery's page."""
    await asyncio.to_thread(shutil.rmtree, GALLERY, ignore_errors=True)
    await asyncio.to_thread(GALLERY.mkdir, parents=True)
    album = Album()
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        plan = Plan(Path(folder), profiles=PROFILES, time_scale=10)
        async with opened(plan) as house, served(house) as address, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--disable-lcd-text"]
            )
            screen = await _open(browser, address)
            await _story(album, screen, house)
            await _narrow(album, browser, address)
            await _insights(album, browser, Path(folder) / "insights")
            await _views(album, browser, address)
            await browser.close()
    return await asyncio.to_thread(album.bind)


async def _open(browser: Browser, address: str, **options: object) -> Screen:
    context = await browser.new_context(**{"viewport": SIZE, **options})  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(address)
    screen = Screen(page)
    await expect(screen.box).to_be_visible()
    await expect(page.locator("#api-key")).to_be_visible()
    return screen


# --- the story


async def _story(album: Album, screen: Screen, house: House) -> None:
    await _beginning(album, screen)
    await _connecting(album, screen)
    await _exporting(album, screen)
    await _running(album, screen)
    await _asking(album, screen, house)
    await _looking(album, screen)


async def _beginning(album: Album, screen: Screen) -> None:
    await album.take(screen.page, "empty", "The sandbox at first")
    await screen.box.fill("/ferry ")
    await album.take(screen.page, "completion", "What can be typed")
    await screen.command("/ferry")
    await expect(screen.message("brings your customer segments")).to_be_visible()
    await album.take(screen.page, "help", "/ferry alone")


async def _connecting(album: Album, screen: Screen) -> None:
    await screen.become(CARL)
    await screen.command("/ferry connect")
    form = await screen.titled("Request a connection")
    await form.get_by_label("What for").fill("The spring newsletter")
    await album.take(screen.page, "request", "A contributor asks for a connection")
    await screen.submit("Send request")
    await screen.titled("Request sent")
    await screen.close()
    await screen.become(ADA)
    await screen.go("Segment Ferry")
    await screen.page.get_by_role("tab", name=re.compile("^Messages")).click()
    request = screen.message("The spring newsletter")
    await expect(request).to_be_visible()
    await album.take(screen.page, "asked", "An admin is asked")
    await request.get_by_role("button", name="Review and connect").click()
    form = await screen.titled("Connect Omnisend")
    await form.get_by_label("Display name").fill("Acme Shop")
    await form.get_by_label("Omnisend API key").fill("not-a-key")
    await form.get_by_label("Everyone in this workspace").check()
    await form.get_by_label("I agree").check()
    await screen.submit("Connect")
    await expect(form.locator(".block-alert")).to_be_visible()
    await album.take(screen.page, "connect-refused", "A key that Omnisend does not know")
    await form.get_by_label("Omnisend API key").fill(await screen.page.locator("#api-key").text_content() or "")
    await screen.submit("Connect")
    await expect(form).to_contain_text("Save to finish")
    await album.take(screen.page, "connect", "The key is good: the brand is shown")
    await screen.submit("Save")
    await screen.titled("Connected")
    await screen.close()


async def _exporting(album: Album, screen: Screen) -> None:
    await screen.become(CARL)
    await screen.go("marketing")
    await screen.command("/ferry export")
    form = await screen.titled("New export")
    await form.get_by_label("Name", exact=True).fill("Spring campaign")
    await screen.pick("Segments", "VIP", "Newsletter")
    await album.take(screen.page, "form", "Setting up an export")
    await form.get_by_role("button", name=re.compile("^Add the .* suggested$")).click()
    await expect(form).to_contain_text("Last name ←")
    await album.take(screen.page, "mapping", "The mapping")
    await form.get_by_role("button", name="Add attribute").click()
    await screen.titled("Add attribute")
    await screen.pick("Omnisend attribute", "Custom property…")
    await expect(form.get_by_label("Name of the custom property")).to_be_visible()
    await form.get_by_role("combobox", name="From the profile field").click()
    await expect(form.get_by_role("option").first).to_be_visible()
    await album.take(screen.page, "attribute", "Adding an attribute in a second modal")
    await screen.page.keyboard.press("Escape")
    await screen.submit("Back")
    await screen.titled("New export")
    await form.get_by_role("button", name="More options…").click()
    await screen.titled("More options")
    await album.take(screen.page, "options", "Leavers, failures, the guard")
    await screen.submit("Back")
    await screen.titled("New export")
    await screen.submit("Save")
    await screen.titled("Saved")
    await album.take(screen.page, "saved", "Saved, nothing sent")
    await screen.close()


async def _running(album: Album, screen: Screen) -> None:
    await screen.command("/ferry preview Spring campaign")
    await expect(screen.modal).to_contain_text("Would be added", timeout=RUN_PATIENCE)
    await album.take(screen.page, "preview", "What a run would do")
    await screen.close()
    await screen.command("/ferry run Spring campaign")
    live = screen.message("Sending to Omnisend").or_(screen.message("Waiting for Omnisend")).last
    await expect(live).to_be_visible(timeout=RUN_PATIENCE)
    await album.take(screen.page, "live", "A run under way")
    await live.get_by_role("button", name="Cancel").click()
    await expect(screen.question).to_be_visible()
    await album.take(screen.page, "confirm", "A question before something is stopped")
    await screen.question.get_by_role("button", name="Let it run").click()
    await expect(screen.message("is up to date at Omnisend")).to_be_visible(timeout=RUN_PATIENCE)
    await expect(screen.page.get_by_role("tabpanel", name="Omnisend")).to_contain_text("2 segments")
    await album.take(screen.page, "report", "The report")
    await screen.go("Segment Ferry")
    await screen.page.get_by_role("tab", name=re.compile("^Messages")).click()
    await expect(screen.page.locator(".file")).to_be_visible()
    await album.take(screen.page, "rejects", "Rejected rows, in private")
    await screen.go("marketing")


async def _asking(album: Album, screen: Screen, house: House) -> None:
    await house.source.change("edit")
    await house.source.change("leave")
    await screen.command("/ferry run Spring campaign")
    reports = screen.page.locator(".message").filter(has_text="is up to date at Omnisend")
    await expect(reports).to_have_count(2, timeout=RUN_PATIENCE)
    await house.source.change("exodus")
    await screen.page.get_by_role("tab", name="Source").click()
    await screen.command("/ferry run Spring campaign")
    question = screen.message("please look before anything is sent")
    await expect(question).to_be_visible(timeout=RUN_PATIENCE)
    await album.take(screen.page, "guard", "The guard asks; beside it the source")
    await question.get_by_role("button", name="Skip").click()
    await expect(screen.message("was skipped")).to_be_visible(timeout=RUN_PATIENCE)
    await screen.command("/ferry history Spring campaign")
    history = screen.message("The last runs of")
    await history.get_by_text("Numbers as a table").first.click()
    await history.scroll_into_view_if_needed()
    await album.take(screen.page, "history", "The last runs")


async def _looking(album: Album, screen: Screen) -> None:
    await screen.become(ADA)
    await screen.command("/ferry status")
    await expect(screen.message("Exports").get_by_role("button", name="Run Spring campaign")).to_be_visible()
    await album.take(screen.page, "status", "Status")
    await screen.command("/ferry exports")
    await expect(screen.message("1 export").get_by_role("button", name="More actions")).to_be_visible()
    await screen.message("1 export").get_by_role("button", name="More actions").click()
    await album.take(screen.page, "exports", "All exports, with a menu each")
    await screen.page.keyboard.press("Escape")
    await screen.command("/ferry refresh")
    await expect(screen.modal.get_by_role("button", name="Save")).to_be_visible()
    await album.take(screen.page, "refresh", "The refresh schedule")
    await screen.close()
    await screen.go("Segment Ferry")
    await screen.page.get_by_role("tab", name="Home").click()
    await expect(screen.page.locator("#home").get_by_role("heading", name="Exports")).to_be_visible()
    await screen.page.get_by_role("tab", name="Omnisend").click()
    await album.take(screen.page, "home", "App Home of an admin")
    for person, name in ((CARL, "contributor"), (VERA, "viewer")):
        await screen.become(person)
        await expect(screen.page.locator("#home:not([aria-busy=true])")).to_contain_text("Segment Ferry")
        await album.take(screen.page, f"home-{name}", f"App Home of a {name}")
    await screen.become(ADA)
    await screen.page.get_by_role("tab", name="Trouble").click()
    await screen.page.get_by_role("switch", name="Omnisend is down").click()
    await expect(screen.page.locator("#bot-banner")).to_be_visible()
    await album.take(screen.page, "trouble", "Switches for trouble")
    await screen.page.get_by_role("switch", name="Omnisend is down").click()


async def _insights(album: Album, browser: Browser, folder: Path) -> None:
    """Customer Insights as the source: somebody signs in to read."""
    async with opened(Plan(folder, profiles=PROFILES, dataverse=True)) as house, served(house) as address:
        screen = await _open(browser, address)
        await screen.page.get_by_role("tab", name="Source").click()
        await screen.command("/ferry connect")
        form = await screen.titled("Connect Omnisend")
        await form.get_by_role("button", name="Add yourself as export user").click()
        await expect(screen.page.get_by_role("button", name="Continue")).to_be_visible()
        await album.take(screen.page, "sign-in", "Signing in to read Customer Insights")
        await screen.page.get_by_role("button", name="Continue").click()
        await expect(form).to_contain_text("who can read")
        await album.take(screen.page, "signed-in", "Signed in")


async def _narrow(album: Album, browser: Browser, address: str) -> None:
    screen = await _open_narrow(browser, address)
    await screen.become_from_menu(CARL)
    await expect(screen.page.locator(".message").last).to_be_visible()
    await album.take(screen.page, "narrow", "On a small screen")


class NarrowScreen(Screen):
    async def become_from_menu(self, name: str) -> None:
        await self.page.get_by_role("button", name="Menu").click()
        await self.become(name)
        await self.page.keyboard.press("Escape")


async def _open_narrow(browser: Browser, address: str) -> NarrowScreen:
    context = await browser.new_context(viewport={"width": 390, "height": 780})
    page = await context.new_page()
    await page.goto(address)
    screen = NarrowScreen(page)
    await expect(screen.box).to_be_visible()
    return screen


# --- every view that can be built


async def _views(album: Album, browser: Browser, address: str) -> None:
    screen = await _open(browser, address, viewport=TALL)
    await freeze(screen.page)
    for number, exhibit in enumerate(richest()):
        part = await show(screen.page, exhibit)
        name = re.sub(r"\W+", "-", exhibit.name)
        length = "" if exhibit.name.startswith(SHORT.label) else " (the longest data)"
        caption = f"{exhibit.function.removeprefix('bot.slack.views.')}{length}"
        await album.take(screen.page, f"view-{number:03}-{name}", caption, part)


if __name__ == "__main__":
    if shutil.which("chromium") is None:
        raise SystemExit("Screenshots need Chromium, and this machine has none (apt-get install chromium).")
    sys.stdout.write(f"{asyncio.run(take_all())}\n")
