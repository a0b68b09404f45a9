"""files: the upload in three steps (ask for a URL, post the bytes, complete)."""

import asyncio

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError, invalid_arguments
from bot.sandbox.slack.methods.chat import check_may_post, file_json
from bot.sandbox.slack.methods.registry import Arguments, channel_of, method
from bot.sandbox.slack.workspace import File, Message


@method("files.getUploadURLExternal", scope="files:write")
def get_upload_url(emulator: Emulator, arguments: Arguments) -> Json:
    name = arguments.required("filename")
    length = arguments.number("length", 0)
    if length <= 0:
        raise invalid_arguments("must be a positive number [json-pointer:/length]")
    ws = emulator.workspace
    file = File(
        ws.new_id("F"),
        name,
        name,
        length,
        alt_text=arguments.text("alt_txt"),
        uploader=ws.bot.id,
        created=int(emulator.clock.now()),
    )
    ws.files[file.id] = file
    key = f"{emulator.source.getrandbits(128):032x}"
    emulator.upload_keys[key] = file.id
    return {"upload_url": f"{emulator.url}/upload/v1/{key}", "file_id": file.id}


@method("files.completeUploadExternal", scope="files:write")
def complete_upload(emulator: Emulator, arguments: Arguments) -> Json:
    listed = arguments.json("files")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise invalid_arguments("must be an array of files [json-pointer:/files]")
    files = [_uploaded(emulator, str(one.get("id", ""))) for one in listed]
    channel = None
    if arguments.text("channel_id"):
        # A channel's own id; names and user ids are not taken here.
        if arguments.text("channel_id") not in emulator.workspace.channels:
            raise SlackError("channel_not_found")
        channel = channel_of(emulator, arguments, "channel_id")
        check_may_post(emulator, channel)
    for file, entry in zip(files, listed, strict=True):
        file.title = str(entry.get("title") or file.name)
        file.completed = True
    if channel is not None:
        message = Message(
            channel.id,
            emulator.workspace.new_ts(),
            emulator.workspace.bot.id,
            arguments.text("initial_comment"),
            files=[file.id for file in files],
            thread_ts=arguments.text("thread_ts") or None,
        )
        # The message that shares the files appears after the answer.
        asyncio.get_running_loop().call_soon(_share, emulator, message, files)
    emulator.journal.record("file", files=[file.id for file in files])
    return {"files": [{"id": file.id, "title": file.title} for file in files]}


def _uploaded(emulator: Emulator, file_id: str) -> File:
    file = emulator.workspace.files.get(file_id)
    if file is None or file.content is None or file.completed:
        raise SlackError("file_not_found")
    return file


def _share(emulator: Emulator, message: Message, files: list[File]) -> None:
    for file in files:
        file.channels.append(message.channel)
    emulator.workspace.post(message)


@method("files.info", scope="files:read")
def files_info(emulator: Emulator, arguments: Arguments) -> Json:
    file = emulator.workspace.files.get(arguments.text("file"))
    if file is None or not file.completed:
        raise SlackError("file_not_found")
    return {"file": file_json(emulator, file)}
