"""The requests we make, relative to the service root, and the names of Customer Insights' tables and columns.

Rests on as little of OData as possible: `$select`, and in `$filter` only `contains`, `eq` and `or` (Customer Insights
docs, "Dataverse APIs for Customer Insights – Data"). What only saves time may be refused; the caller has a plainer way.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

PROFILE_TABLE = "msdynci_customerprofile"
PROFILES = "msdynci_customerprofiles"
MEMBERSHIPS = "msdynci_segmentmemberships"
METADATA = "mscipriv_segmentmetadatas"

CUSTOMER = "msdynci_customerid"
MEMBER_OF = "msdynci_segments"

PAGE_ROWS = 5_000  # asked for; a page may be smaller
TITLED_ROWS = 250  # asked for where each row comes with a payload that may be long
MAX_URL = 32_768  # characters, service root included
MAX_CONDITIONS = 400  # in one filter; Dataverse allows 500
FILTERED_SEGMENTS = 5  # up to so many names are looked for by a filter, more by reading all memberships

WHO_AM_I = "WhoAmI"
MEMBERSHIPS_ALL = f"{MEMBERSHIPS}?$select={CUSTOMER},{MEMBER_OF}"
ATTRIBUTES = f"EntityDefinitions(LogicalName='{PROFILE_TABLE}')/Attributes?$select=LogicalName,AttributeType"
METADATA_ALL = f"{METADATA}?$select=msdyn_name,statecode,msdyn_isdeleted,msdyn_ishistoryentry"
METADATA_TITLED = f"{METADATA_ALL},mscipriv_payload1"
TOTAL_PROFILES = "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=" + quote(f'["{PROFILE_TABLE}"]', safe="")

_PLAIN = re.compile(r"[A-Za-z0-9_ .-]+")


def one_row(table: str, column: str) -> str:
    return f"{table}?$select={column}&$top=1"


def profiles(columns: Sequence[str]) -> str:
    """All profiles: id and these columns."""
    return f"{PROFILES}?$select={','.join([CUSTOMER, *columns])}"


def memberships_of(names: Sequence[str]) -> str | None:
    """Memberships that may name one of these segments; None where no filter can be trusted to find them all.

    `contains` looks at the column's raw text, without regard to case and perhaps with `_ % [ ]` as wildcards. For a
    plain name that finds too much at most. Other names may stand there with JSON escapes (`\\u5ba2`), and `[ab]` may
    mean a or b: those would be missed.
    """
    if not names or len(names) > FILTERED_SEGMENTS or not all(map(_PLAIN.fullmatch, names)):
        return None
    condition = " or ".join(f"contains({MEMBER_OF},'{name}')" for name in names)
    return f"{MEMBERSHIPS_ALL}&$filter={_encoded(condition)}"


def profiles_by_id(columns: Sequence[str], ids: Iterable[str], *, root: str) -> Iterator[str]:
    """All profiles of these customers, so many in a request as its address can hold."""
    start = f"{profiles(columns)}&$filter="
    room = MAX_URL - len(root) - len(start)
    terms: list[str] = []
    length = 0
    joint = _encoded(" or ")
    for customer in ids:
        term = _encoded(f"{CUSTOMER} eq '{customer.replace(chr(39), chr(39) * 2)}'")
        if terms and (len(terms) == MAX_CONDITIONS or length + len(joint) + len(term) > room):
            yield start + joint.join(terms)
            terms, length = [], 0
        length += len(term) + (len(joint) if terms else 0)
        terms.append(term)
    if terms:
        yield start + joint.join(terms)


def _encoded(text: str) -> str:
    return quote(text, safe="'(),")
