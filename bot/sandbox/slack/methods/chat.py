"""chat and reactions: what the app says."""

from bot.sandbox.slack.blockkit import Problem, validate_message
from bot.sandbox.slack.elements import with_ids
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError, invalid_arguments
from bot.sandbox.slack.methods.registry import Arguments, channel_of, message_of, method, person_of
from bot.sandbox.slack.workspace import Channel, File, Message

LONGEST_TEXT = 40_000  # characters; longer texts are cut (Slack docs, chat.postMessage)
MOST_ATTACHMENTS = 100


def content_of(emulator: Emulator, payload: Json) -> Json:
    """The content of a message, checked: `text`, `blocks` and `attachments` as they are stored."""
    blocks = payload.get("blocks") or []
    attachments = payload.get("attachments") or []
    text = payload.get("text") or ""
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    refuse_problems(validate_message({"text": text, "blocks": blocks, "attachments": attachments}), "invalid_blocks")
    stored = [
        {**one, "blocks": with_ids(one["blocks"], emulator.source)} if one.get("blocks") else one for one in attachments
    ]
    return {
        "text": text[:LONGEST_TEXT],
        "blocks": with_ids(blocks, emulator.source),
        "attachments": stored,
    }


def refuse_problems(problems: list[Problem], code: str, *, base: str = "") -> None:
    """Refuse a payload that the validator found errors in, saying where."""
    messages = [f"{one.rule} (found {one.found}) [json-pointer:{base}{one.path}]" for one in problems if one.is_error]
    if messages:
        raise invalid_arguments(*messages, code=code)


def arguments_content(emulator: Emulator, arguments: Arguments) -> Json:
    payload: Json = {name: arguments.json(name) for name in ("blocks", "attachments")}
    return content_of(emulator, {**payload, "text": arguments.text("text")})


def message_json(emulator: Emulator, message: Message) -> Json:
    """A message as the Web API and interaction payloads show it."""
    ws = emulator.workspace
    shown: Json = {"type": "message", "user": message.author, "ts": message.ts, "text": message.text}
    if message.author == ws.bot.id:
        shown |= {"bot_id": ws.bot_id, "app_id": ws.app_id, "team": ws.team_id}
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.attachments:
        shown["attachments"] = message.attachments
    if message.thread_ts:
        shown["thread_ts"] = message.thread_ts
    if message.broadcast:
        shown["subtype"] = "thread_broadcast"
    if message.edited_ts:
        shown["edited"] = {"user": message.author, "ts": message.edited_ts}
    if message.files:
        shown["files"] = [file_json(emulator, ws.files[one]) for one in message.files]
    if message.metadata:
        shown["metadata"] = message.metadata
    if message.reactions:
        shown["reactions"] = [
            {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
        ]
    return shown


def file_json(emulator: Emulator, file: File) -> Json:
    url = f"{emulator.url}/files-pri/{emulator.workspace.team_id}-{file.id}/{file.name}"
    return {
        "id": file.id,
        "created": file.created,
        "name": file.name,
        "title": file.title or file.name,
        "filetype": file.name.rsplit(".", 1)[-1] if "." in file.name else "",
        "user": file.uploader,
        "size": file.length,
        "alt_txt": file.alt_text,
        "url_private": url,
        "url_private_download": url,
        "permalink": f"https://{emulator.workspace.domain}.slack.com/files/{file.uploader}/{file.id}/{file.name}",
        "channels": file.channels,
        "is_public": False,
    }


def check_may_post(emulator: Emulator, channel: Channel) -> None:
    """The bot posts where it is a member; with chat:write.public in any public channel too."""
    if channel.archived:
        raise SlackError("is_archived")
    if emulator.workspace.bot.id in channel.members:
        return
    if channel.kind == "public" and "chat:write.public" in emulator.scopes:
        return
    raise SlackError("not_in_channel")


def posting_channel(emulator: Emulator, arguments: Arguments) -> Channel:
    """The channel of a post; a user id stands for the direct message with that person."""
    target = arguments.required("channel", "channel_not_found")
    if target in emulator.workspace.people:
        person = emulator.workspace.people[target]
        if person.is_bot or person.deleted:
            raise SlackError("channel_not_found")
        if not emulator.config.messages_enabled:
            raise SlackError("messages_tab_disabled")
        return emulator.workspace.direct_channel(emulator.workspace.bot.id, target)
    return channel_of(emulator, arguments)


def thread_of(emulator: Emulator, channel: Channel, arguments: Arguments) -> str | None:
    """The `ts` of the thread's first message. A reply's own `ts` leads to its thread."""
    thread_ts = arguments.text("thread_ts")
    if not thread_ts:
        return None
    parent = emulator.workspace.find_message(channel.id, thread_ts)
    if parent is None or parent.ephemeral_to is not None:
        raise SlackError("cannot_reply_to_message")
    return parent.thread_ts or parent.ts


@method("chat.postMessage", scope="chat:write")
def chat_post_message(emulator: Emulator, arguments: Arguments) -> Json:
    channel = posting_channel(emulator, arguments)
    check_may_post(emulator, channel)
    content = arguments_content(emulator, arguments)
    message = emulator.workspace.post(
        Message(
            channel.id,
            emulator.workspace.new_ts(),
            emulator.workspace.bot.id,
            thread_ts=thread_of(emulator, channel, arguments),
            broadcast=arguments.flag("reply_broadcast"),
            metadata=arguments.json("metadata") or None,
            **content,
        )
    )
    answer: Json = {"channel": channel.id, "ts": message.ts, "message": message_json(emulator, message)}
    if len(arguments.text("text")) > LONGEST_TEXT:
        answer |= {"warning": "message_truncated", "response_metadata": {"warnings": ["message_truncated"]}}
    return answer


@method("chat.update", scope="chat:write")
def chat_update(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_by_id(emulator, arguments)
    message = message_of(emulator, channel, arguments.required("ts", "message_not_found"))
    if message.author != emulator.workspace.bot.id:
        raise SlackError("cant_update_message")
    if channel.archived:
        raise SlackError("is_inactive")
    if len(arguments.text("text")) > LONGEST_TEXT:
        raise SlackError("msg_too_long")
    content = arguments_content(emulator, arguments)
    kept_attachments = message.attachments if arguments.values.get("attachments") is None else content["attachments"]
    # Text without blocks removes the blocks (Slack docs, chat.update).
    message.text, message.blocks, message.attachments = content["text"], content["blocks"], kept_attachments
    emulator.workspace.edited(message)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message_json(emulator, message),
    }


def channel_by_id(emulator: Emulator, arguments: Arguments) -> Channel:
    """A channel by id only: updates and deletions take no names and no user ids."""
    if arguments.text("channel") not in emulator.workspace.channels:
        raise SlackError("channel_not_found")
    return channel_of(emulator, arguments)


@method("chat.delete", scope="chat:write")
def chat_delete(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_by_id(emulator, arguments)
    message = message_of(emulator, channel, arguments.required("ts", "message_not_found"))
    if message.author != emulator.workspace.bot.id:
        raise SlackError("cant_delete_message")
    emulator.workspace.delete(message)
    return {"channel": channel.id, "ts": message.ts}


@method("chat.postEphemeral", scope="chat:write")
def chat_post_ephemeral(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_of(emulator, arguments)
    person = person_of(emulator, arguments.required("user", "user_not_in_channel"))
    if channel.archived:
        raise SlackError("is_archived")
    if emulator.workspace.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    if person.id not in channel.members:
        raise SlackError("user_not_in_channel")
    message = emulator.workspace.post(
        Message(
            channel.id,
            emulator.workspace.new_ts(),
            emulator.workspace.bot.id,
            thread_ts=thread_of(emulator, channel, arguments),
            ephemeral_to=person.id,
            **arguments_content(emulator, arguments),
        )
    )
    return {"message_ts": message.ts}


@method("chat.getPermalink")
def chat_get_permalink(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_by_id(emulator, arguments)
    message = message_of(emulator, channel, arguments.required("message_ts", "message_not_found"))
    path = f"https://{emulator.workspace.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    thread = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    return {"channel": channel.id, "permalink": path + thread}


@method("reactions.add", scope="reactions:write")
def reactions_add(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_of(emulator, arguments)
    message = message_of(emulator, channel, arguments.required("timestamp", "no_item_specified"))
    name = arguments.required("name", "invalid_name").strip(":")
    users = message.reactions.setdefault(name, [])
    if emulator.workspace.bot.id in users:
        raise SlackError("already_reacted")
    users.append(emulator.workspace.bot.id)
    emulator.journal.record("message_changed", channel=channel.id, ts=message.ts, ephemeral_to=None)
    return {}
