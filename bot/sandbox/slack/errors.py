"""What the emulator refuses, on its two sides: towards the app, and towards a person at the screen."""

from typing import Any

Json = dict[str, Any]


class SlackError(Exception):
    """A Web API call that is answered with `{"ok": false, "error": code}`; `extra` joins the answer."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra


def invalid_arguments(*messages: str, code: str = "invalid_arguments") -> SlackError:
    """The error of a call whose arguments are wrong, with a line for each thing that is."""
    return SlackError(code, response_metadata={"messages": [f"[ERROR] {message}" for message in messages]})


class Refused(Exception):
    """A person tried what a real Slack client would not let them do.

    `reason` is a stable word for programs, `status` the HTTP status of the control API, `detail` joins its answer.
    """

    def __init__(self, reason: str, message: str, *, status: int = 409, **detail: Any) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.detail = detail
