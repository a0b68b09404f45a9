"""What `ferry doctor` says of Customer Insights: the way there, Entra, and each connection's export user."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from sqlmodel import col, select

from bot.app import App, build
from bot.cli.words import explained, on_offer
from bot.pipeline.insights import environment_of
from bot.services.export_users import ExportUserView
from bot.settings import Settings
from bot.sources.dataverse import authority_of
from storage.errors import FerryError
from storage.models import Connection, ConnectionState, ExportUser, ReaderKind

REACH_SECONDS = 10.0  # for each thing asked


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    fine: bool
    text: str


async def examine_insights(settings: Settings) -> list[Finding]:
    """Address, TLS, tenant, and who reads for which connection. Raises `AddressRefused` for what is no environment."""
    environment = environment_of(settings)
    found = [await _environment(settings, environment), await _tenant(settings, environment)]
    if all(finding.fine for finding in found):
        found += [finding async for finding in _readers(settings)]
    return found


async def _environment(settings: Settings, environment: str) -> Finding:
    """Without a token, Dataverse's own refusal shows that it is there."""
    host = urlsplit(environment).netloc
    status = await _status(settings, f"{environment}/api/data/v9.2/WhoAmI")
    if isinstance(status, str):
        return Finding(False, f"{host} can't be reached ({status}). {_way(status)}, and FERRY_DATAVERSE_URL.")
    if status != httpx.codes.UNAUTHORIZED:
        return Finding(
            False,
            f"{host} answers with status {status}, as Dataverse would not. Check FERRY_DATAVERSE_URL (or FERRY_SOURCE) "
            "and any proxy on the way.",
        )
    return Finding(True, f"{host} answers over TLS")


async def _tenant(settings: Settings, environment: str) -> Finding:
    authority = settings.entra_authority or authority_of(environment)
    status = await _status(settings, f"{authority}/{settings.entra_tenant}/v2.0/.well-known/openid-configuration")
    if isinstance(status, str):
        return Finding(False, f"Entra ({authority}) can't be reached ({status}). {_way(status)}.")
    if status != httpx.codes.OK:
        return Finding(
            False,
            f"Entra ({authority}) knows no tenant {settings.entra_tenant}. Whoever runs Segment Ferry can correct "
            "FERRY_ENTRA_TENANT, or FERRY_ENTRA_AUTHORITY for a national cloud.",
        )
    return Finding(True, f"Entra knows the tenant {settings.entra_tenant}")


async def _status(settings: Settings, address: str) -> int | str:
    """The status of an answer, or what went wrong on the way."""
    trusted = ssl.create_default_context(cafile=settings.dataverse_ca) if settings.dataverse_ca else True
    try:
        async with httpx.AsyncClient(
            timeout=REACH_SECONDS, verify=trusted, trust_env=not settings.dataverse_ca
        ) as http:
            return (await http.get(address)).status_code
    except httpx.HTTPError as error:
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
        return "its certificate is not trusted" if untrusted else type(error).__name__


def _way(problem: str) -> str:
    if "certificate" in problem:
        return "Whoever looks after the network can say whether a proxy is on the way; check FERRY_DATAVERSE_CA"
    return "Check the network and any proxy on the way"


async def _readers(settings: Settings) -> AsyncIterator[Finding]:
    """The app where there is one, and the export user of each connection."""
    if not settings.database_url and not settings.data_dir.exists():
        yield Finding(True, "nobody reads yet: ferry connection add NAME --source dataverse")
        return
    async with build(settings) as app:
        insights = app.engine.sources.insights
        assert insights is not None
        if insights.has_app:
            nobody = ExportUser(team_id="", kind=ReaderKind.APP, environment=insights.environment, added_by="")
            reader = insights.open(nobody)
            try:
                await reader.source.check()
                yield Finding(True, "the app can read in its own name")
            except FerryError as error:
                yield Finding(False, f"the app: {explained(error)}")
            finally:
                await reader.close()
        async with app.database.read() as session:
            statement = select(Connection).where(
                Connection.source == insights.kind, Connection.state == ConnectionState.ACTIVE
            )
            connections = (await session.exec(statement.order_by(col(Connection.id)))).all()
        for connection in connections:
            yield await _reader(app, connection)


async def _reader(app: App, connection: Connection) -> Finding:
    """Who am I, and a row of each table, in the export user's name."""
    try:
        source = await app.engine.source_of(connection)
        await source.check()
        segments, fields = await source.segments(), await source.fields()
    except FerryError as error:
        return Finding(False, f"{connection.name}: {explained(error)}")
    user = await app.services.export_users.of(connection)
    return Finding(True, f"{connection.name} reads as {_named(user)}: {on_offer(fields, segments)}")


def _named(user: ExportUserView | None) -> str:
    if user is None:
        return "nobody"
    until = f" (good until {user.good_until:%Y-%m-%d} if not used)" if user.good_until else ""
    return (user.account or "the app") + until
