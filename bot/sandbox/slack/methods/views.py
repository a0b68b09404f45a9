"""views: modals and the App Home."""

from bot.sandbox.slack.blockkit import LARGEST_VIEW, size_of_view, validate_view
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError, invalid_arguments
from bot.sandbox.slack.methods.chat import refuse_problems
from bot.sandbox.slack.methods.registry import Arguments, method, person_of
from bot.sandbox.slack.views import View


def checked_view(definition: object, *kinds: str) -> Json:
    """A view fit to be shown. Raises `SlackError` as `views.*` do for one that is not."""
    if not isinstance(definition, dict):
        raise invalid_arguments("missing required field: view")
    if definition.get("type") not in kinds:
        raise invalid_arguments(f"must be {' or '.join(kinds)} [json-pointer:/view/type]")
    if size_of_view(definition) > LARGEST_VIEW:
        raise SlackError("view_too_large")
    refuse_problems(validate_view(definition), "invalid_arguments", base="/view")
    return definition


def answer(emulator: Emulator, view: View) -> Json:
    """The view as the API answers it: without what the person typed."""
    return {"view": {**emulator.views.payload(view), "state": {"values": {}}}}


@method("views.open")
def views_open(emulator: Emulator, arguments: Arguments) -> Json:
    return _show(emulator, arguments)


@method("views.push")
def views_push(emulator: Emulator, arguments: Arguments) -> Json:
    return _show(emulator, arguments, onto_stack=True)


def _show(emulator: Emulator, arguments: Arguments, *, onto_stack: bool = False) -> Json:
    """Open a modal. What happens when `views.open` meets an open one is not documented; here it goes on top."""
    trigger_id = arguments.required("trigger_id")
    definition = checked_view(arguments.json("view"), "modal")
    trigger = emulator.triggers.peek(trigger_id)
    if onto_stack and not emulator.views.stack(trigger.person):
        raise SlackError("not_found")
    view = emulator.views.push(trigger.person, definition, trigger.channel)
    emulator.triggers.exchange(trigger_id)
    return answer(emulator, view)


@method("views.update")
def views_update(emulator: Emulator, arguments: Arguments) -> Json:
    view_id, external_id = arguments.text("view_id"), arguments.text("external_id")
    if not (view_id or external_id):
        raise invalid_arguments("missing required field: view_id or external_id")
    view = emulator.views.find(view_id) if view_id else emulator.views.find_external(external_id)
    definition = checked_view(arguments.json("view"), "modal", "home")
    if view is None:
        raise SlackError("not_found")
    if view.kind != definition["type"]:
        raise invalid_arguments(f"must be {view.kind} [json-pointer:/view/type]")
    return answer(emulator, emulator.views.update(view, definition, arguments.text("hash")))


@method("views.publish")
def views_publish(emulator: Emulator, arguments: Arguments) -> Json:
    person = person_of(emulator, arguments.required("user_id"))
    if not emulator.home_enabled:
        raise SlackError("not_enabled")
    definition = checked_view(arguments.json("view"), "home")
    return answer(emulator, emulator.views.publish(person.id, definition, arguments.text("hash")))
