"""The root of every error that Segment Ferry raises on purpose.

It lives in the lowest layer so that storage, sources, pipeline and face can share it. An error carries three texts for
people: what happened, what it means for their data, and what to do next. The texts are templates filled with facts, so
that the face can translate them before it fills them in.
"""

from collections.abc import Callable
from typing import ClassVar


def mark(text: str) -> str:
    """Mark a text for translation without translating it yet (gettext's `N_`)."""
    return text


class FerryError(Exception):
    """An error with an answer. Subclasses fill in the three texts; `facts` fill in their placeholders."""

    code: ClassVar[str] = "ferry"
    what: ClassVar[str] = mark("Something went wrong.")
    consequence: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.explain())

    def explain(self, translate: Callable[[str], str] = str) -> str:
        """All three texts as one paragraph, translated by `translate`."""
        texts = (self.what, self.consequence, self.remedy)
        return " ".join(translate(text).format_map(_Facts(self.facts)) for text in texts if text)


class _Facts(dict[str, object]):
    """Facts for a template; a missing one shows as its own name rather than hiding the error behind a KeyError."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


class StorageError(FerryError):
    """The root of what storage raises."""

    code = "storage"


class DatabaseTooNew(StorageError):
    code = "database-too-new"
    what = mark("The database was written by a newer version of Segment Ferry (revision {revision}).")
    consequence = mark("Nothing was read or changed.")
    remedy = mark("Install that version or a later one, or point FERRY_DATA_DIR at another folder.")


class DatabaseDamaged(StorageError):
    code = "database-damaged"
    what = mark("The database in {folder} is damaged, or is no database ({detail}).")
    consequence = mark("Nothing was sent.")
    remedy = mark("Restore it from a backup. After that, runs compare with what Omnisend has before they send.")


class FolderUnusable(StorageError):
    code = "folder-unusable"
    what = mark("The folder {folder} can't be used ({detail}).")
    consequence = mark("Nothing was read or sent.")
    remedy = mark("Make it a folder that this program may write to, or point FERRY_DATA_DIR at another one.")


class DiskFull(StorageError):
    code = "disk-full"
    what = mark("The disk that holds the data folder is full or can't be written to ({detail}).")
    consequence = mark("What was recorded before is safe; nothing more is sent until there is room.")
    remedy = mark("Free some space in {folder}, then run the export again: it goes on where it stopped.")


class SecretKeyMissing(StorageError):
    code = "secret-key-missing"
    what = mark("The secret key that protects this installation's data is missing or is not the right one.")
    consequence = mark("Nothing was read or sent: without it every contact would look like a new one.")
    remedy = mark("Put back the key file ({path}) or set FERRY_SECRET_KEYS to the keys used before.")


class DigestKeyMissing(StorageError):
    code = "digest-key-missing"
    what = mark("The digest key of this installation is missing from the database, though ledgers exist.")
    consequence = mark("Nothing was sent: without it everyone would look joined and everyone left.")
    remedy = mark("Restore the database from a backup that holds it. A new key can't be made for old ledgers.")


class SecretUnreadable(StorageError):
    code = "secret-unreadable"
    what = mark("A stored secret can't be opened: it was sealed for another place or with another key.")
    consequence = mark("It was not used.")
    remedy = mark("Enter it again (for an API key: edit the connection), or restore the secret keys used before.")
