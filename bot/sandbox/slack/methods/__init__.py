"""The methods of the Web API that the emulator knows, one file for each family."""

from bot.sandbox.slack.methods import chat, directory, files, team, views
from bot.sandbox.slack.methods.registry import METHODS, Method

__all__ = ["METHODS", "Method", "chat", "directory", "files", "team", "views"]
