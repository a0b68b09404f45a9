"""What a visitor of a sandbox does in Slack, for tests of the room: connect, set up an export, run it."""

from bot.sandbox.room.house import House
from bot.sandbox.slack.client import Message, Person, SlackWorld
from tests.scenario.conftest import form, submit

EXPORT = "Campaign"


async def set_up(house: House, *segments: str) -> None:
    """A connection of the shop, and an export of these segments with the suggested mapping, which runs by hand."""
    async with SlackWorld(house.slack["url"]) as slack:
        ada = slack.person("ada")
        await ada.command("/ferry connect", channel="marketing")
        modal = await form(ada, "Connect Omnisend")
        await modal.fill({"Display name": "Shop", "Omnisend API key": house.omnisend["key"], "I agree": True})
        await submit(modal)
        await ada.wait_for(lambda one: "Save to finish" in one.modal_text)
        await ada.submit()
        await ada.modal("Connected")
        await ada.close(everything=True)
        await add_export(ada, *segments)


async def add_export(ada: Person, *segments: str) -> None:
    """An export of these segments with the suggested mapping, which runs by hand."""
    await ada.command(f"/ferry export {EXPORT}", channel="marketing")
    modal = await form(ada, "New export")
    await modal.fill({"Segments": list(segments)})
    await ada.click(next(label for label in modal.labels if label.startswith("Add the")))
    await ada.wait_for(lambda one: "*First name* ←" in one.modal_text)
    await ada.submit()
    await ada.modal("Saved")
    await ada.close(everything=True)


async def run(ada: Person) -> None:
    """Ask for a run of the export."""
    await ada.command(f"/ferry run {EXPORT}", channel="marketing")


async def newest(ada: Person, text: str, after: int = 0, seconds: float = 60) -> str:
    """The newest message that says this, once there are more than `after` of them; all that it says."""

    def said(messages: list[Message]) -> list[Message]:
        return [one for one in messages if text in one.shown][after:]

    return said(await ada.wait_for_messages("marketing", lambda messages: bool(said(messages)), seconds))[-1].shown


async def count(ada: Person, text: str) -> int:
    """How many messages say this."""
    return sum(text in one.shown for one in await ada.messages("marketing"))


async def ask_omnisend(house: House) -> int:
    """Ask Omnisend something with the shop's key; the HTTP status."""
    headers = {"Authorization": f"Omnisend-API-Key {house.omnisend['key']}", "Omnisend-Version": "2026-03-15"}
    async with house.http.get(f"{house.omnisend['url']}/brands/current", headers=headers) as answer:
        return answer.status
