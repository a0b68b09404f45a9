"""The command that runs the emulator."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from aiohttp import web

from bot.sandbox.process import serve
from bot.sandbox.slack import control, handed_out, serving, web_api
from bot.sandbox.slack.app_config import AppConfig
from bot.sandbox.slack.emulator import Emulator, Options


def slack(
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of ids and tokens.")] = 1,
    rate_limits: Annotated[Literal["on", "off"], typer.Option(help="Whether Slack's rate limits hold.")] = "on",
    time_scale: Annotated[float, typer.Option(min=0.001, help="A minute of rate limits lasts 60/F seconds.")] = 1.0,
    trigger_seconds: Annotated[float, typer.Option(help="How long a trigger id can be used.")] = 3.0,
    manifest: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The app's manifest: scopes, commands, events.")
    ] = None,
) -> None:
    """Run a local Slack: Web API, Socket Mode, and an API to act as the people of the workspace."""
    config = AppConfig.from_manifest(manifest) if manifest else AppConfig()
    emulator = Emulator(Options(seed, rate_limits == "on", time_scale, trigger_seconds, config))
    asyncio.run(serve(application(emulator), port=port, announce=emulator.announce))


def application(emulator: Emulator) -> web.Application:
    """The web application around an emulator."""
    app = web.Application(
        middlewares=[serving.refuse_other_sites, serving.refuse_while_away, control.answer_refusals],
        client_max_size=serving.LARGEST_BODY,
    )
    app[serving.EMULATOR] = emulator
    app.add_routes([*web_api.routes(), *handed_out.routes(), *control.routes()])
    app.on_shutdown.append(_stop)
    return app


async def _stop(app: web.Application) -> None:
    await app[serving.EMULATOR].stop()
