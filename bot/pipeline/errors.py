"""What can stop a run, beside the source's and Omnisend's own errors."""

from storage.errors import FerryError, mark


class RunError(FerryError):
    """The root of what the pipeline raises."""

    code = "run"


class AlreadyRunning(RunError):
    code = "already-running"
    what = mark("*{export}* is running already (started {since} UTC by {by}).")
    consequence = mark("It was not started a second time.")
    remedy = mark("Wait for its result, or cancel it.")


class NoConnection(RunError):
    code = "no-connection"
    what = mark("*{export}* has no connection.")
    consequence = mark("Nothing was sent; its settings are kept.")
    remedy = mark("Edit the export and choose a connection.")


class NoKey(RunError):
    code = "no-key"
    what = mark("The connection *{connection}* has no API key: its consent was withdrawn.")
    consequence = mark("Nothing was sent.")
    remedy = mark("An admin can connect it again with /ferry connect.")


class NoSegments(RunError):
    code = "no-segments"
    what = mark("*{export}* has no segments.")
    consequence = mark("Nothing was sent.")
    remedy = mark("Edit the export and choose at least one.")


class TooManyProfiles(RunError):
    code = "too-many-profiles"
    what = mark("*{export}* has more than {most} profiles, the most that one export may have.")
    consequence = mark("Nothing was sent.")
    remedy = mark("Choose smaller segments, spread them over several exports, or raise FERRY_MAX_PROFILES.")


class SourceUnknown(RunError):
    code = "source-unknown"
    what = mark("The source {source} of this connection is not configured here.")
    consequence = mark("Nothing was read or sent.")
    remedy = mark(
        "Whoever runs Segment Ferry can set it (FERRY_SOURCE for a folder, FERRY_DATAVERSE_URL for Customer Insights), "
        "or an admin can connect again with a source that is configured."
    )


class SourceUnset(SourceUnknown):
    code = "source-unset"
    what = mark("No source is configured, so there are no profiles to read.")
    remedy = mark("Set FERRY_SOURCE to a folder with profiles and segments (ferry doctor shows what is found there).")


class EnvironmentChanged(RunError):
    code = "environment-changed"
    what = mark("The connection reads from the environment {former}, and the settings name {source} now.")
    consequence = mark("Nothing was read or sent.")
    remedy = mark(
        "An admin can choose Change export user in the connection's menu to read from {source}, or whoever runs "
        "Segment Ferry can set the former environment again."
    )


class MemoryShort(RunError):
    code = "memory-short"
    what = mark("Comparing the profiles takes more than the {memory_mb} MB of memory that are allowed for it.")
    consequence = mark("Nothing more was sent; what was sent before is remembered.")
    remedy = mark("Raise FERRY_MEMORY_MB (twice as much is a good try), then run the export again.")


class SpillFull(RunError):
    code = "spill-full"
    what = mark("There is no room left in the data folder for setting profiles aside while they are compared.")
    consequence = mark("Nothing more was sent; what was sent before is remembered.")
    remedy = mark(
        "Free some space in {folder} (1 GB is plenty for a million profiles), or raise FERRY_MEMORY_MB so that less is "
        "set aside, then run the export again."
    )


class RunTooLong(RunError):
    code = "run-too-long"
    what = mark("The run was stopped after {hours} hours, the most that a run may take.")
    consequence = mark("What was sent is kept in the ledger; the rest was not sent.")
    remedy = mark("Run the export again: it sends only what is left.")


class RunCancelled(RunError):
    code = "run-cancelled"
    what = mark("The run was cancelled.")
    consequence = mark("What Omnisend had accepted stays there and is remembered; nothing more was sent.")
    remedy = mark("Run the export again when you want the rest sent.")


class GuardStopped(RunError):
    code = "guard-stopped"
    what = mark("The run was stopped: Omnisend rejected {rejected} of the first {tried} contacts, {reason}.")
    consequence = mark("The contacts sent so far are remembered; nothing more was sent.")
    remedy = mark("Look at the rejected rows, mend the mapping or the source, then run again.")


class LeaseLost(RunError):
    code = "lease-lost"
    what = mark("Another process has taken over sending to this brand.")
    consequence = mark("This run stopped sending; what it had sent is remembered.")
    remedy = mark("If this machine was asleep, nothing is wrong: run the export again.")


class OmnisendAway(RunError):
    code = "omnisend-away"
    what = mark("Omnisend could not be reached for {minutes} minutes ({detail}).")
    consequence = mark("What was sent before is remembered; what was under way is in doubt and will be looked up.")
    remedy = mark("See https://status.omnisend.com, then run the export again: it goes on where it stopped.")


class Unexpected(RunError):
    code = "unexpected"
    what = mark("Something unexpected went wrong (reference {reference}).")
    consequence = mark("What was sent before is remembered; nothing more was sent.")
    remedy = mark("Try again; if it comes back, give the reference to whoever runs Segment Ferry: the log has more.")
