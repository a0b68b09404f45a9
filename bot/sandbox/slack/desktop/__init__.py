"""What the Slack app on a person's screen does.

It shows only what is there for that person, checks inputs before it sends them, sends what the person did to the app
and applies what comes back. What a person could not do raises `Refused`.
"""

from bot.sandbox.slack.desktop.composer import Composer
from bot.sandbox.slack.desktop.hands import Hands
from bot.sandbox.slack.desktop.modals import Modals
from bot.sandbox.slack.desktop.outcome import Outcome
from bot.sandbox.slack.desktop.screen import Screen, Target
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.workspace import Person

__all__ = ["Desktop", "Outcome", "Target"]


class Desktop:
    """The Slack app of one person: what they see, and what they can do with it."""

    def __init__(self, emulator: Emulator, person: Person) -> None:
        self.screen = Screen(emulator, person)
        self.composer = Composer(self.screen)
        self.hands = Hands(self.screen)
        self.modals = Modals(self.screen)
