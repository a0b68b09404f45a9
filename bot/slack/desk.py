"""What every flow works with."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.services.context import Services
from bot.slack.directory import Directory
from bot.slack.gateway import Gateway
from bot.slack.mailbox import Mailbox
from bot.slack.reports import Reports


@dataclass(frozen=True, slots=True)
class Desk:
    """`changed` is told the workspace in which something changed, so that open Homes show it."""

    services: Services
    gateway: Gateway
    directory: Directory
    mailbox: Mailbox
    reports: Reports
    changed: Callable[[str], None]
