"""Answers that come by other ways than the Web API: the payload of an acknowledgement, and response URLs."""

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError
from bot.sandbox.slack.methods.chat import content_of
from bot.sandbox.slack.tickets import ResponseUrl
from bot.sandbox.slack.workspace import Message


def post_answer(emulator: Emulator, person: str, channel: str, payload: Json) -> Message:
    """Put an answer where the person acted: for them alone unless `response_type` is `in_channel`."""
    in_channel = payload.get("response_type") == "in_channel"
    return emulator.workspace.post(
        Message(
            channel,
            emulator.workspace.new_ts(),
            emulator.workspace.bot.id,
            thread_ts=payload.get("thread_ts") or None,
            ephemeral_to=None if in_channel else person,
            **content_of(emulator, payload),
        )
    )


def post_response(emulator: Emulator, ticket: ResponseUrl, payload: Json) -> None:
    """Do what a post to a response URL asks: replace or delete the message acted on, or say something new."""
    original = emulator.workspace.find_message(ticket.channel, ticket.message_ts) if ticket.message_ts else None
    if payload.get("delete_original"):
        if original is None:
            raise SlackError("message_not_found")
        emulator.workspace.delete(original)
    elif payload.get("replace_original") and original is not None:
        content = content_of(emulator, payload)
        original.text, original.blocks = content["text"], content["blocks"]
        original.attachments = content["attachments"]
        emulator.workspace.edited(original)
    else:
        post_answer(emulator, ticket.person, ticket.channel, payload)
