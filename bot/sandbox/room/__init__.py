"""The sandbox: the stand-ins, the bot and a page that shows them, in one room on this machine.

`command.play` is the command. `house` starts everything, `state` is the folder that outlives it, `server` serves the
page to one browser, `live` tells it what changes, `source_data` and `trouble` are what a visitor may change. The page
itself is in `bot/sandbox/web`.
"""
