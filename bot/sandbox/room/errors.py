"""What keeps a sandbox from starting, in words for the person at the terminal."""

from storage.errors import FerryError, mark


class SandboxError(FerryError):
    """The root of what the sandbox raises. Nothing runs when it is raised."""

    code = "sandbox"
    consequence = mark("Nothing was started.")


class PortTaken(SandboxError):
    code = "sandbox-port-taken"
    what = mark("Port {port} can't be used ({detail}).")
    remedy = mark("Give another one with --port, or leave the option out: then any free one is taken.")


class StateInUse(SandboxError):
    code = "sandbox-state-in-use"
    what = mark("Another sandbox is running with the state in {folder}.")
    remedy = mark("Use it ({address}), stop it with Ctrl-C in its window, or give another folder with --state.")


class StateNewer(SandboxError):
    code = "sandbox-state-newer"
    what = mark("The state in {folder} was kept by a newer version of Segment Ferry.")
    consequence = mark("Nothing was started or changed.")
    remedy = mark("Use that version, give another folder with --state, or forget that state with --fresh.")


class StateUnusable(SandboxError):
    code = "sandbox-state-unusable"
    what = mark("The state folder {folder} can't be used ({detail}).")
    remedy = mark("Give a folder that may be written to with --state, or start over with --fresh.")


class SourceNotThere(SandboxError):
    code = "sandbox-source-not-there"
    what = mark("There is no folder {folder}.")
    remedy = mark(
        "--source takes a folder with profiles.parquet or profiles.csv and a folder segments, or the word dataverse; "
        "without it, profiles are made up."
    )


class ProcessEnded(SandboxError):
    code = "sandbox-process-ended"
    what = mark("A part of the sandbox did not start: {detail}.")
    consequence = mark("Everything was stopped again.")
    remedy = mark("Try again; if it goes on, start over with --fresh.")
