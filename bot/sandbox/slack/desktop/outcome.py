"""What comes of an act, as the person sees it at once."""

from dataclasses import asdict, dataclass, field

from bot.sandbox.slack.errors import Json


@dataclass(slots=True)
class Outcome:
    """Whether the app was told (`sent`), whether it acknowledged, and what the client shows.

    `error` is Slack's word for what failed and `notice` the client's text about it; `errors` are texts under inputs, by
    block_id; `closed`: a modal closed; `reply`: the message that a command was answered with; `url`: the page that a
    link button opens.
    """

    sent: bool = False
    acknowledged: bool = False
    error: str | None = None
    notice: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    reply: Json | None = None
    url: str | None = None

    def as_json(self) -> Json:
        return asdict(self)
