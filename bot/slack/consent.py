"""The consent to a connection: what is on record, agreeing anew, withdrawing."""

from bot.i18n import Translator, translator
from bot.services.connections import CONSENT_VERSION, ConnectionDetails, consent_text
from bot.slack.desk import Desk
from bot.slack.ids import Action, Field, Modal
from bot.slack.router import Router
from bot.slack.views import common
from bot.slack.views import consent as views
from bot.slack.views.consent import ConsentRecord
from bot.slack.visit import Reply, Visit, read_id


class Consenting:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._services = desk.services
        router.click(Action.AGREE_AGAIN, self._agree)
        router.submit(Modal.AGREE, self._agreed)
        router.click(Action.WITHDRAW, self._open)

    async def _agree(self, visit: Visit) -> None:
        """The text anew. What Slack shows stays as it was chosen, unless it was chosen for another text or brand."""
        await visit.open(visit.t.gettext("Data privacy"))
        details = await self._services.connections.details(await visit.actor(), read_id(visit.value))
        shown = f"{details.connection.id}|{CONSENT_VERSION}/{visit.t.language}"
        full = details.consent is not None and details.consent_holds and details.consent.full_values_in_slack
        text = consent_text(visit.t.gettext)
        await visit.show(views.agree_form(visit.t, shown, details.connection.name, text, full_values=full))

    def _agreed(self, visit: Visit) -> Reply:
        if not visit.form.ticked(Field.AGREE):
            error = visit.t.gettext("Without your agreement no data may leave. Read the text and tick it.")
            return Reply.refuse({visit.form.block(Field.AGREE): error})
        return Reply.show(common.loading(visit.t, visit.t.gettext("Data privacy")), self._keep_agreement)

    async def _keep_agreement(self, visit: Visit) -> None:
        _ = visit.t.gettext
        connection_id, _sep, shown = visit.metadata.partition("|")
        actor = await visit.actor(fresh=True)
        consent = await self._services.connections.agree_again(
            actor,
            read_id(connection_id),
            language=shown.partition("/")[2],
            text_shown=text_as_shown(shown),
            full_values_in_slack=visit.form.ticked(Field.FULL_VALUES),
        )
        said = _("Your agreement is recorded. Exports over this connection can run.")
        slack = views.shown_in_slack(visit.t, full_values=consent.full_values_in_slack)
        await visit.show(common.notice(visit.t, _("Thank you"), said, slack))
        self._desk.changed(visit.team_id)

    # --- the record, and withdrawing

    async def _open(self, visit: Visit) -> None:
        """First what is on record and what withdrawing means, then (value `sure-N`) the deed."""
        if visit.value.startswith("sure-"):
            await self._withdraw(visit, read_id(visit.value.removeprefix("sure-")))
            return
        await visit.open(visit.t.gettext("Consent"))
        details = await self._services.connections.details(await visit.actor(), read_id(visit.value))
        exports = [name for _, name in details.exports]
        connection = details.connection
        record = _record(visit.t, details)
        await visit.show(views.consent_view(visit.t, connection.id or 0, connection.name, record, exports))

    async def _withdraw(self, visit: Visit, connection_id: int) -> None:
        actor = await visit.actor(fresh=True)
        connection = (await self._services.connections.details(actor, connection_id)).connection
        done = await self._services.connections.withdraw(actor, connection_id)
        await visit.show(views.withdrawn(visit.t, connection.name, done.stopped_runs, done.detached))
        self._desk.changed(visit.team_id)


def text_as_shown(shown: str) -> str:
    """The consent text as it was shown (`version/language`); nothing if this program no longer has that version."""
    version, _, language = shown.partition("/")
    return consent_text(translator(language).gettext) if version == CONSENT_VERSION else ""


def _record(t: Translator, details: ConnectionDetails) -> ConsentRecord | None:
    consent = details.consent
    if consent is None:
        return None
    return ConsentRecord(
        person=consent.person,
        at=t.moment(consent.agreed_at),
        version=consent.text_version,
        language=consent.language,
        digest=consent.text_digest,
        full_values=consent.full_values_in_slack,
        holds=details.consent_holds,
    )
