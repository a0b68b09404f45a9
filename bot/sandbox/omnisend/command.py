"""The command that starts the emulator (`ferry emulate omnisend`)."""

import asyncio
import math
from typing import Annotated, Any

import typer

from bot.sandbox.omnisend.assumptions import UnknownAssumption, parse_assumption
from bot.sandbox.omnisend.control import CONTROL
from bot.sandbox.omnisend.faults import KINDS, BadFault, parse_fault
from bot.sandbox.omnisend.gateway import API
from bot.sandbox.omnisend.limits import WINDOW
from bot.sandbox.omnisend.server import build
from bot.sandbox.omnisend.world import Settings, World
from bot.sandbox.process import serve


def omnisend(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 for any free one.", min=0, max=65_535)] = 0,
    rate_limit: Annotated[
        int, typer.Option(help="Requests a brand may make in an API minute; 0 for no limit.", min=0)
    ] = 400,
    time_scale: Annotated[
        float, typer.Option(help="One API minute lasts 60/F seconds; delays shrink too.", metavar="F")
    ] = 1.0,
    batch_delay: Annotated[
        float | None, typer.Option(help="API seconds from the posting of a batch to its end.", min=0)
    ] = None,
    fault: Annotated[list[str] | None, typer.Option(help=f"KIND:RATE, repeatable. Kinds: {', '.join(KINDS)}.")] = None,
    assume: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, repeatable: a switch for what is not known.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For everything that is left to chance.")] = 0,
    revoke_after: Annotated[int | None, typer.Option(help="Revoke the key after so many requests.", min=0)] = None,
) -> None:
    """Stand in for Omnisend on this machine.

    The first line of output is JSON: `url` (the API's base), `key`, `rate` (what a brand may do, as requests/seconds;
    0/60 where there is no limit), `control`, `brandID`. Ends when standard input ends.
    """
    try:
        settings = Settings(
            rate_limit=rate_limit,
            time_scale=_positive(time_scale),
            batch_delay=batch_delay,
            faults=tuple(parse_fault(text) for text in fault or ()),
            assumptions=dict(parse_assumption(text) for text in assume or ()),
            seed=seed,
            revoke_after=revoke_after,
        )
    except (BadFault, UnknownAssumption) as error:
        raise typer.BadParameter(str(error)) from None
    if batch_delay is not None and "batch-delay" in settings.assumptions:
        raise typer.BadParameter("Give --batch-delay or --assume batch-delay=..., not both.")

    world = World(settings)

    def announce(address: str) -> dict[str, Any]:
        return {
            "url": address + API,
            "key": world.default_key.secret,
            "rate": rate_text(settings),
            "control": address + CONTROL,
            "brandID": world.default_key.brand.id,
        }

    asyncio.run(serve(build(world), port=port, announce=announce))


def rate_text(settings: Settings) -> str:
    """What a brand may do, in real time, such as `400/3`: never more than is allowed."""
    if not settings.rate_limit:
        return "0/60"
    seconds = math.ceil(WINDOW / settings.time_scale * 1000) / 1000
    return f"{settings.rate_limit}/{seconds:.15g}"


def _positive(scale: float) -> float:
    if not 0 < scale < math.inf:
        raise typer.BadParameter("--time-scale must be more than 0.")
    return scale
