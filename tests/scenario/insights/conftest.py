"""Scenarios with Customer Insights: the emulator with Entra's sign-in, and a bot with a folder of tables as well."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import select

from bot.sandbox.slack.client import Modal, Person
from bot.settings import Settings
from storage.models import Connection, ExportUser
from tests.scenario.conftest import Ferry, Json, form
from tests.system.dataverse_emulator_api import Api, fresh_api, running

FORM = "Connect Omnisend"


@pytest.fixture(scope="package")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "200", "--segment", "VIP:0.2", "--time-scale", "10") as announced:
        yield announced


@pytest.fixture
async def insights(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as api:
        yield api


@pytest.fixture
def settings(settings: Settings, env: Json, insights: Api) -> Settings:
    return settings.model_copy(
        update={
            "dataverse_url": env["url"],
            "dataverse_hosts": ["127.0.0.1"],
            "dataverse_ca": Path(env["ca"]),
            "entra_tenant": env["tenant"],
            "entra_client_id": env["device_client_id"],
            "entra_app_id": env["client_id"],
            "entra_app_secret": type(settings.entra_app_secret)(env["client_secret"]),
            "entra_authority": env["authority"],
        }
    )


async def begun(ferry: Ferry) -> Modal:
    """The form, filled in for Customer Insights, up to who reads."""
    await ferry.ada.command("/ferry connect", channel="marketing")
    connect = await form(ferry.ada, FORM)
    await connect.fill({"Display name": "Acme Shop", "Omnisend API key": ferry.omnisend.key, "I agree": True})
    await ferry.ada.choose("Profiles from", label(connect, "Customer Insights"))
    await shows(ferry.ada, "Add yourself as export user")
    return await form(ferry.ada, FORM)


def label(modal: Modal, beginning: str) -> str:
    """The option that begins like this."""
    texts = [
        option["text"]["text"]
        for block in modal.view["blocks"]
        if block["type"] == "input"
        for option in block["element"].get("options", ())
    ]
    return next(str(text) for text in texts if text.startswith(beginning))


async def shows(person: Person, text: str) -> str:
    screen = await person.wait_for(lambda one: one.modal is not None and text in one.modal_text)
    return screen.modal_text


async def code(ferry: Ferry, insights: Api) -> str:
    """The code on the screen, which is the one that Entra waits for."""
    text = await shows(ferry.ada, "Enter the code")
    (waiting,) = (await insights.look("device"))["user_codes"]
    assert waiting in text
    assert insights.env["verification_uri"] in text
    return str(waiting)


async def answer(ferry: Ferry, insights: Api, action: str = "approve") -> None:
    await insights.control("device", user_code=await code(ferry, insights), action=action)


async def connections(ferry: Ferry) -> list[Connection]:
    async with ferry.app.database.read() as session:
        return list((await session.exec(select(Connection))).all())


async def export_users(ferry: Ferry) -> list[ExportUser]:
    async with ferry.app.database.read() as session:
        return list((await session.exec(select(ExportUser))).all())
