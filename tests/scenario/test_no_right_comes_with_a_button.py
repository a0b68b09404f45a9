"""A button's value and an open window are no authorisation: each right is asked for again when it is used.

The expected answers are written out by hand. Forged buttons are posted with the app's own token and any value in them,
as if drawn for somebody else or long ago; stale windows are opened by those who may, and used when they may no longer.

reference: slack-platform.md §14 (button values are not authorisation; re-check on every action)
"""

import hashlib
import re
from typing import Any

import httpx
import pytest
from sqlmodel import select

from bot.sandbox.slack.client import Modal, Person
from bot.services.actor import Actor
from bot.services.connections import ConnectionDraft, consent_text
from bot.services.exports import ExportDraft
from bot.services.overview import line_of
from bot.slack.ids import Action
from storage.models import (
    Audience,
    Connection,
    ConnectionGrant,
    Consent,
    Export,
    ExportSegment,
    FieldMapping,
    Run,
    RunStatus,
    Schedule,
    Workspace,
    id_of,
)
from tests.scenario.conftest import Ferry, submit

ADMINS = "Only admins may do this"
SHARED = "Only admins and people that the connection is shared with"
NOT_YOURS = "but not change it: its connection is not shared with you"
GONE = "no longer"  # there, or on record

# Who hears what, by whose button it is: (Carl on the connection shared with him, Carl on another, Vera).
# None: they may. `{connection}`, `{export}`, `{run}` and `{request}` are the ids of that side.
MATRIX: dict[tuple[Action, str], tuple[str | None, str | None, str | None]] = {
    (Action.EDIT_CONNECTION, "{connection}"):        (ADMINS, ADMINS, ADMINS),
    (Action.REPLACE_KEY, "{connection}"):            (ADMINS, ADMINS, ADMINS),
    (Action.AGREE_AGAIN, "{connection}"):            (ADMINS, ADMINS, ADMINS),
    (Action.WITHDRAW, "{connection}"):               (ADMINS, ADMINS, ADMINS),
    (Action.WITHDRAW, "sure-{connection}"):          (ADMINS, ADMINS, ADMINS),
    (Action.REMOVE_CONNECTION, "{connection}"):      (ADMINS, ADMINS, ADMINS),
    (Action.REMOVE_ANYWAY, "{connection}"):          (ADMINS, ADMINS, ADMINS),
    (Action.APPROVE, "{request}"):                   (ADMINS, ADMINS, ADMINS),
    (Action.DECLINE, "{request}"):                   (ADMINS, ADMINS, ADMINS),
    (Action.REFRESH, ""):                            (ADMINS, ADMINS, ADMINS),
    (Action.ADMINS, ""):                             (ADMINS, ADMINS, ADMINS),
    (Action.WEBHOOK, ""):                            (ADMINS, ADMINS, ADMINS),
    (Action.WEBHOOK_TOKEN, ""):                      (ADMINS, ADMINS, ADMINS),
    (Action.WEBHOOK_REMOVE, ""):                     (ADMINS, ADMINS, ADMINS),
    (Action.EXPORT_USER, "{connection}"):            (ADMINS, ADMINS, ADMINS),
    (Action.SIGN_IN_AGAIN, "{connection}"):          (ADMINS, ADMINS, ADMINS),
    (Action.HISTORY, "{export}"):                    (None, None, None),
    (Action.EDIT_EXPORT, "{export}"):                (None, NOT_YOURS, NOT_YOURS),
    (Action.DUPLICATE_EXPORT, "{export}"):           (None, SHARED, SHARED),
    (Action.PREVIEW, "{export}"):                    (None, SHARED, SHARED),
    (Action.REJECTS, "{run}"):                       (None, SHARED, SHARED),
    (Action.GUARD_SHOW, "{run}"):                    (None, SHARED, SHARED),
    (Action.REMOVE_EXPORT, "{export}"):              (None, SHARED, SHARED),
    (Action.PAUSE_EXPORT, "{export}"):               (None, SHARED, SHARED),
    (Action.RESUME_EXPORT, "{export}"):              (None, SHARED, SHARED),
    (Action.GUARD_ADOPT, "{run}"):                   (None, SHARED, SHARED),
    (Action.GUARD_SEND, "{run}"):                    (None, SHARED, SHARED),
    (Action.GUARD_SKIP, "{run}"):                    (None, SHARED, SHARED),
    (Action.CANCEL, "{run}"):                        (None, SHARED, SHARED),
    (Action.RUN, "{export}"):                        (None, SHARED, SHARED),
    (Action.RETRY, "{run}"):                         (None, SHARED, SHARED),
    (Action.RESYNC, "{export}"):                     (None, SHARED, SHARED),
    (Action.EMPTY_AND_REMOVE, "{export}"):           (None, SHARED, SHARED),
    (Action.DETACH_EXPORT, "{export}"):              (None, SHARED, SHARED),
    (Action.DETACH_IN_USE, "{export}-{connection}"):  (None, SHARED, SHARED),
    (Action.REMOVE_EXPORT, "sure-{export}"):         (None, SHARED, SHARED),
}  # fmt: skip


KEPT = (Connection, ConnectionGrant, Consent, Export, ExportSegment, FieldMapping, Run, Schedule, Workspace)


class Side:
    """A connection with an export, and a run of it whose question about a lost ledger is open."""

    def __init__(self, connection: Connection, export: Export, run: Run, request: int) -> None:
        self.ids = {
            "connection": id_of(connection),
            "export": id_of(export),
            "run": id_of(run),
            "request": request,
        }


async def _side(
    ferry: Ferry, name: str, segment: str, people: tuple[str, ...], request: int, *, actor: Actor | None = None
) -> Side:
    services, ada = ferry.app.services, actor or await ferry.actor("ada")
    ferry.source.segment(segment, ferry.source.profiles)
    draft = ConnectionDraft(
        name, ferry.omnisend.key, Audience.PEOPLE if people else Audience.ADMINS, people, agreed=True,
        text_shown=consent_text(),
    )  # fmt: skip
    connection = await services.connections.connect(ada, draft)
    email = line_of(FieldMapping(team_id="", export_id=0, position=0, attribute="email", value="EMail"))
    export = await services.exports.save(ada, ExportDraft(f"{name} export", id_of(connection), (segment,), (email,)))
    finding = {"kind": "ledger_behind", "ledger": 0, "at_omnisend": 40}
    run = Run(
        team_id=ada.team_id, export_id=export.id, export_name=export.name, status=RunStatus.ASKING, findings=[finding]
    )
    async with ferry.app.database.write() as session:
        session.add(run)
    return Side(connection, export, run, request)


async def _sides(ferry: Ferry) -> tuple[Side, Side]:
    """Carl's own and one that is shared with nobody."""
    vera = await ferry.actor("vera")
    request = (await ferry.app.services.requests.request(vera, "please")).id
    carl = await ferry.slack.person_id("carl")
    own = await _side(ferry, "Own", "VIP", (carl,), request)
    return own, await _side(ferry, "Foreign", "Others", (), request)


async def _post(ferry: Ferry, buttons: list[tuple[str, Action, str]]) -> None:
    """Messages of the app with any buttons: text, action, value."""
    channel = await ferry.slack.channel_id("marketing")
    token = ferry.settings.slack_bot_token
    assert token is not None
    async with httpx.AsyncClient(trust_env=False) as http:
        for start in range(0, len(buttons), 20):
            blocks = [
                {
                    "type": "actions",
                    "block_id": f"forged-{start + n}",
                    "elements": [
                        {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": action,
                         **({"value": value} if value else {})},
                    ],
                }
                for n, (text, action, value) in enumerate(buttons[start : start + 20])
            ]  # fmt: skip
            answer = await http.post(
                f"{ferry.settings.slack_url.rstrip('/')}/chat.postMessage",
                headers={"Authorization": f"Bearer {token.get_secret_value()}"},
                json={"channel": channel, "text": "Forged.", "blocks": blocks},
            )
            assert answer.json()["ok"], answer.text


async def _answer(person: Person, button: str) -> str:
    """What somebody sees after a click: the window that opened, or the message for them alone."""
    before = len(await person.messages("marketing"))
    await person.click(button, where="marketing")

    def settled(screen: Any) -> bool:
        return screen.modal is not None and "One moment…" not in screen.modal_text

    async def in_window() -> str | None:
        screen = await person.screen()
        if screen.modal is None:
            return None
        return (await person.wait_for(settled)).modal_text

    for _ in range(200):
        if (text := await in_window()) is not None:
            await person.close(everything=True)
            return text
        messages = await person.messages("marketing")
        if len(messages) > before and messages[-1].ephemeral:
            return messages[-1].shown
        await person.world.watch(f"people/{person.name}/view", lambda answer: answer, lambda _: False, 0.02)
    raise AssertionError(f"{person.name} clicked {button} and heard nothing")


async def _state(ferry: Ferry) -> str:
    """Everything that a click could have changed."""
    kept = []
    async with ferry.app.database.read() as session:
        for table in (
            Connection,
            ConnectionGrant,
            Consent,
            Export,
            ExportSegment,
            FieldMapping,
            Run,
            Schedule,
            Workspace,
        ):
            rows = (await session.exec(select(table))).all()
            kept += [repr(sorted(row.model_dump().items(), key=str)) for row in rows]
    return hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()


async def _met(person: Person) -> None:
    """Let the bot meet them first: who somebody is, is written down."""
    await person.command("/ferry", channel="marketing")
    await person.message("what you can do", channel="marketing")


async def _forge(ferry: Ferry, person: Person, side: Side, acts: list[tuple[Action, str]]) -> dict[Any, str]:
    """What somebody hears at each of these buttons."""
    buttons = {key: f"Forged {n}" for n, key in enumerate(acts)}
    await _post(ferry, [(text, key[0], key[1].format(**side.ids)) for key, text in buttons.items()])
    return {key: await _answer(person, text) for key, text in buttons.items()}


@pytest.mark.parametrize("who", ["carl on his own", "carl on another", "vera on another"])
async def test_a_button_for_somebody_else_says_no_and_does_nothing(ferry: Ferry, who: str) -> None:
    column = ["carl on his own", "carl on another", "vera on another"].index(who)
    own, foreign = await _sides(ferry)
    person = ferry.vera if column == 2 else ferry.carl
    denied = {key: words[column] or "" for key, words in MATRIX.items() if words[column]}
    await _met(person)
    before = await _state(ferry)
    said = await _forge(ferry, person, foreign if column else own, list(denied))
    assert {key: words for key, words in said.items() if denied[key] not in words} == {}
    assert await _state(ferry) == before
    assert await ferry.omnisend.batches_posted() == 0


# In an order in which each can be done.
CONTRIBUTORS = [
    (Action.HISTORY, "{export}", "export"),
    (Action.EDIT_EXPORT, "{export}", "*Attributes*"),
    (Action.DUPLICATE_EXPORT, "{export}", "Name of the copy"),
    (Action.PREVIEW, "{export}", "What a run of"),
    (Action.GUARD_SHOW, "{run}", "What a run of"),
    (Action.REJECTS, "{run}", "in your direct messages with me"),
    (Action.REMOVE_EXPORT, "{export}", "never touches what Omnisend has"),
    (Action.PAUSE_EXPORT, "{export}", "is paused"),
    (Action.RESUME_EXPORT, "{export}", "is resumed"),
    (Action.CANCEL, "{run}", "is cancelled"),
    (Action.RUN, "{export}", "is on its way"),
    (Action.DETACH_EXPORT, "{export}", "is detached"),
]
ADMINISTRATORS = [
    (Action.EDIT_CONNECTION, "{connection}", "Display name"),
    (Action.REPLACE_KEY, "{connection}", "New Omnisend API key"),
    (Action.AGREE_AGAIN, "{connection}", "run only while an admin agrees"),
    (Action.WITHDRAW, "{connection}", "If you withdraw the consent"),
    (Action.REMOVE_CONNECTION, "{connection}", "is used by 1 export"),
    (Action.APPROVE, "{request}", "asks for a connection to Omnisend"),
    (Action.DECLINE, "{request}", "hears your reason"),
    (Action.REFRESH, "", "Time zone"),
    (Action.ADMINS, "", "dmins"),
]


async def test_a_contributor_may_do_on_the_own_connection_what_the_matrix_says(ferry: Ferry) -> None:
    own, _ = await _sides(ferry)
    said = await _forge(ferry, ferry.carl, own, [(action, value) for action, value, _ in CONTRIBUTORS])
    assert {(act, value): said[act, value] for act, value, words in CONTRIBUTORS if words not in said[act, value]} == {}


async def test_an_admin_may_do_it_all_also_where_nothing_is_shared(ferry: Ferry) -> None:
    _, foreign = await _sides(ferry)
    acts = ADMINISTRATORS + CONTRIBUTORS
    said = await _forge(ferry, ferry.ada, foreign, [(action, value) for action, value, _ in acts])
    assert {(act, value): said[act, value] for act, value, words in acts if words not in said[act, value]} == {}


async def test_another_workspaces_things_are_unknown_even_to_an_owner_of_this_one(ferry: Ferry) -> None:
    elsewhere = Actor("T0ELSEWHERE", "U0ELSEWHERE", is_admin=True)
    request = (await ferry.app.services.requests.request(elsewhere, "please")).id
    side = await _side(ferry, "Elsewhere", "VIP", (), request, actor=elsewhere)
    await _met(ferry.ada)
    before = await _state(ferry)
    acts = [key for key in MATRIX if key[1]]
    said = await _forge(ferry, ferry.ada, side, acts)
    assert {key: words for key, words in said.items() if GONE not in words} == {}
    assert await _state(ferry) == before


@pytest.mark.parametrize("value", ["nonsense", "99999999999999999999999"])
async def test_a_value_that_is_no_id_says_that_things_have_changed(ferry: Ferry, value: str) -> None:
    own, _ = await _sides(ferry)
    await _met(ferry.ada)
    before = await _state(ferry)
    acts = {(action, re.sub(r"\{\w+\}", value, form)): form for action, form in MATRIX if form}
    del acts[Action.SIGN_IN_AGAIN, value]  # a new sign-in needs no id
    said = await _forge(ferry, ferry.ada, own, list(acts))
    assert {key: words for key, words in said.items() if "This has changed since it was shown" not in words} == {}
    assert await _state(ferry) == before


# --- windows that were opened by those who might


WINDOWS: dict[tuple[Action, str], dict[str, Any]] = {
    (Action.EDIT_CONNECTION, "{connection}"): {"Display name": "Taken over"},
    (Action.REPLACE_KEY, "{connection}"): {"New Omnisend API key": "KEY"},
    (Action.AGREE_AGAIN, "{connection}"): {"I agree": True},
    (Action.APPROVE, "{request}"): {},
    (Action.DECLINE, "{request}"): {"Reason": "No."},
    (Action.REFRESH, ""): {"At": ["06:00"]},
    (Action.ADMINS, ""): {"Admins": ["carl"]},
}


@pytest.mark.parametrize("window", list(WINDOWS))
async def test_an_admins_open_window_does_nothing_once_they_are_none(ferry: Ferry, window: tuple[Action, str]) -> None:
    own, _ = await _sides(ferry)
    await _post(ferry, [("Open", window[0], window[1].format(**own.ids))])
    await ferry.ada.click("Open", where="marketing")
    screen = await ferry.ada.wait_for(lambda one: one.modal is not None and bool(one.modal["submit"]))
    modal = Modal(ferry.ada, screen.modal or {})
    await modal.fill({name: ferry.omnisend.key if entry == "KEY" else entry for name, entry in WINDOWS[window].items()})
    await ferry.ada.change(is_admin=False, is_owner=False, is_primary_owner=False)
    before = await _state(ferry)
    await submit(modal)
    await ferry.ada.wait_for(lambda one: ADMINS in one.modal_text)
    assert await _state(ferry) == before


@pytest.mark.parametrize("action", [Action.EDIT_EXPORT, Action.DUPLICATE_EXPORT])
async def test_a_contributors_open_windows_do_nothing_once_the_share_is_gone(ferry: Ferry, action: Action) -> None:
    own, _ = await _sides(ferry)
    await _post(ferry, [("Open", action, str(own.ids["export"]))])
    await ferry.carl.click("Open", where="marketing")
    screen = await ferry.carl.wait_for(lambda one: one.modal is not None and bool(one.modal["submit"]))
    modal = Modal(ferry.carl, screen.modal or {})
    await ferry.app.services.connections.share(
        await ferry.actor("ada"), own.ids["connection"], audience=Audience.ADMINS
    )
    before = await _state(ferry)
    await submit(modal)
    await ferry.carl.wait_for(lambda one: SHARED in one.modal_text)
    assert await _state(ferry) == before
