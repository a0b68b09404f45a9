"""Customer Insights as the source, read through the Dataverse Web API: GET only, two tables, page by page.

- `address` checks the environment's address, `refresh` is who knows of refreshes.
- `client` makes requests and follows pages; `pace` keeps them below the limits; `faults` says what went wrong.
- `queries` words the requests; `pages` makes Arrow of the answers, by the types of `columns`.
- `names`, `keys` and `memberships` find out who is a member.
- `reading` is one reading of profiles, `catalog` the segments on offer, `source` all of it behind the protocol.

Who reads is somebody else's matter: a `TokenProvider`, such as those of `bot.sources.entra`.
"""

from bot.sources.dataverse.address import authority_of, environment_url
from bot.sources.dataverse.client import TokenProvider
from bot.sources.dataverse.refresh import RefreshClock
from bot.sources.dataverse.source import DataverseSource

__all__ = [
    "DataverseSource",
    "RefreshClock",
    "TokenProvider",
    "authority_of",
    "environment_url",
]
