"""What the client of the control API reads, typed: messages, results of acts, what lies before a person."""

import json
from dataclasses import dataclass, field, fields
from typing import Self

from bot.sandbox.slack.elements import placed_elements
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.words import mrkdwn_words, visible_text


@dataclass(frozen=True, slots=True)
class File:
    """A file in a message."""

    id: str
    name: str
    title: str
    size: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message as one person sees it. `shown` is all text a person can read in it."""

    channel: str
    ts: str
    author: str
    text: str
    blocks: list[Json]
    ephemeral: bool
    edited: bool
    thread_ts: str | None
    files: list[File]
    raw: Json = field(repr=False)

    @property
    def shown(self) -> str:
        attached = [block for one in self.raw.get("attachments", []) for block in one.get("blocks", [])]
        return visible_text(self.blocks + attached) or mrkdwn_words(self.text)

    @property
    def buttons(self) -> list[str]:
        """The texts of its buttons."""
        return _button_texts(self.blocks)

    @classmethod
    def parse(cls, raw: Json) -> Self:
        files = [File(one["id"], one["name"], one["title"], one["size"]) for one in raw.get("files", [])]
        return cls(
            raw["channel"],
            raw["ts"],
            raw["author"],
            raw["text"],
            raw.get("blocks", []),
            raw["ephemeral"],
            "edited" in raw,
            raw.get("thread_ts"),
            files,
            raw,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an act at once.

    `sent`: the app was told; `acknowledged`: it answered in time; `error`: Slack's word for what failed; `notice`:
    what the Slack client says about it; `errors`: texts under inputs, by block_id; `closed`: a modal closed;
    `reply`: the message that answers a command directly; `url`: the page that a link button opens.
    """

    sent: bool
    acknowledged: bool
    error: str | None
    notice: str | None
    errors: dict[str, str]
    closed: bool
    reply: Json | None
    url: str | None
    before: int
    """The version just before the act: what came of it has a later one."""

    @property
    def text(self) -> str:
        """What a command answered at once, as text."""
        return visible_text((self.reply or {}).get("blocks", [])) or mrkdwn_words((self.reply or {}).get("text", ""))

    @classmethod
    def parse(cls, raw: Json) -> Self:
        return cls(**{one.name: raw[one.name] for one in fields(cls)})


@dataclass(frozen=True, slots=True)
class Screen:
    """What lies before a person beside the channels: modals (the visible one last), Home, notices of the client."""

    version: int
    modals: list[Json]
    home: Json | None
    notices: list[Json]

    @property
    def modal(self) -> Json | None:
        return self.modals[-1] if self.modals else None

    @property
    def modal_text(self) -> str:
        """All text in the visible modal, with its title and the errors under its inputs."""
        if self.modal is None:
            return ""
        texts = [title_of(self.modal), visible_text(self.modal["blocks"]), *self.modal["errors"].values()]
        return "\n".join(texts)

    @property
    def modal_buttons(self) -> list[str]:
        """The texts of the buttons in the visible modal, but for Submit and Close."""
        return _button_texts(self.modal["blocks"]) if self.modal else []

    @property
    def home_text(self) -> str:
        return visible_text(self.home["blocks"]) if self.home else ""

    @classmethod
    def parse(cls, raw: Json) -> Self:
        return cls(**{one.name: raw[one.name] for one in fields(cls)})

    def describe(self) -> str:
        """All of it in words, for whoever waited for something else."""
        parts = [
            f"The modal “{title_of(self.modal)}” is open:\n{self.modal_text}" if self.modal else "No modal is open."
        ]
        if self.home:
            parts.append(f"Home says:\n{self.home_text}")
        if self.notices:
            parts.append(f"The client said: {json.dumps(self.notices[-3:])}")
        return "\n".join(parts)


def title_of(view: Json) -> str:
    return str((view.get("title") or {}).get("text", ""))


def parse_messages(answer: Json) -> list[Message]:
    return [Message.parse(one) for one in answer["messages"]]


def _button_texts(blocks: list[Json]) -> list[str]:
    return [one.element["text"]["text"] for one in placed_elements(blocks) if one.kind == "button"]
