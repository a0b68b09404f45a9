"""`ferry emulate dataverse`: the command line of the emulator."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.sandbox.dataverse.assumptions import SWITCHES, Assumptions, parse_switches
from bot.sandbox.dataverse.certificate import Certificates, temporary_certificates
from bot.sandbox.dataverse.emulator import Config, Emulator
from bot.sandbox.dataverse.faults import Kind, parse_fault
from bot.sandbox.dataverse.population import DEFAULT_SHARES, Share
from bot.sandbox.dataverse.server import make_app
from bot.sandbox.dataverse.sign_in import VERIFICATION_PATH
from bot.sandbox.process import serve

ENVIRONMENT = "https://contoso.crm4.dynamics.com"


def dataverse(
    profiles: Annotated[int, typer.Option(min=0, help="How many unified profiles there are.")] = 20_000,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes any free one.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same customers.")] = 1,
    segment: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PART", help="Segments instead of the usual ones, as VIP:0.1.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:RATE", help=f"Trouble at random, such as 500:0.01. Kinds: {', '.join(Kind)}."),
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help=f"A switch, such as page-cap=500. Names: {', '.join(SWITCHES)}."),
    ] = None,
    token_seconds: Annotated[float, typer.Option(min=1, help="How long an access token is good.")] = 3_599,
    time_scale: Annotated[float, typer.Option(min=0.001, help="Let time pass so many times as fast.")] = 1,
    environment: Annotated[
        str, typer.Option(help="The address that the environment has in real life; tokens for it are good here.")
    ] = ENVIRONMENT,
) -> None:
    """Serve a Dataverse environment with Customer Insights data, and Entra's sign-in, on loopback over TLS.

    The first line of output is JSON with everything that a client needs to know.
    """
    try:
        config = Config(
            profiles=profiles,
            seed=seed,
            shares=tuple(map(_parse_share, segment)) if segment else DEFAULT_SHARES,
            fault_rates=dict(map(parse_fault, fault or ())),
            assumptions=Assumptions().changed(parse_switches(assume or [])),
            token_seconds=token_seconds,
            time_scale=time_scale,
            environments=(environment.rstrip("/"),),
        )
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    with temporary_certificates() as certificates:
        asyncio.run(_run(Emulator(config, certificates), certificates, port))


async def _run(emulator: Emulator, certificates: Certificates, port: int) -> None:
    def announce(url: str) -> dict[str, Any]:
        emulator.answer_at(url, url.replace("127.0.0.1", "localhost"))
        return announcement(emulator, url, certificates.ca, certificates.app)

    await serve(make_app(emulator), port=port, announce=announce, tls=certificates.tls)


def announcement(emulator: Emulator, url: str, ca: Path, app_certificate: Path) -> dict[str, Any]:
    """What the first line of output says."""
    directory = emulator.directory
    return {
        "url": url,
        "authority": url,
        "tenant": directory.tenant,
        "client_id": directory.app.client_id,
        "client_secret": directory.app.secret,
        "client_certificate": str(app_certificate),
        "device_client_id": directory.device_app.client_id,
        "ca": str(ca),
        "verification_uri": f"{url}{VERIFICATION_PATH}",
        "environment": emulator.config.environments[0],
        "people": [*directory.people],
        "segments": [segment.name for segment in emulator.world.segments],
    }


def _parse_share(word: str) -> Share:
    name, _, part = word.rpartition(":")
    try:
        share = Share(name, float(part))
    except ValueError:
        share = Share("", 0)
    if not share.name or not 0 <= share.part <= 1:
        raise ValueError(f"a segment looks like VIP:0.1, not {word!r}")
    return share
