"""Who acts: a person in Slack, or the command line."""

from dataclasses import dataclass

CLI = "cli"  # stands for the command line wherever a user id is kept


@dataclass(frozen=True, slots=True)
class Actor:
    """A person at the moment they act. `groups`: ids of the user groups they are in; `zone`: an IANA time zone.

    `is_guest`: of the workspace, or of another one: not among "everyone", only named.
    """

    team_id: str
    user_id: str
    is_admin: bool = False
    groups: frozenset[str] = frozenset()
    locale: str = "en-US"
    zone: str = "UTC"
    is_guest: bool = False

    @classmethod
    def command_line(cls, team_id: str) -> "Actor":
        """Whoever can read the data folder may do everything: the keys to it lie there."""
        return cls(team_id, CLI, is_admin=True)
