"""Where the parts that speak HTTP find the emulator and the journal's entry of a request."""

from aiohttp import web

from bot.sandbox.dataverse.emulator import Emulator
from bot.sandbox.dataverse.journal import Entry

EMULATOR = web.AppKey("emulator", Emulator)
ENTRY = web.RequestKey("entry", Entry)
