"""Customers by arithmetic: everything about customer number `n` follows from the seed, so nothing needs to be held.

Numbers run from 0: first those with a profile, then a few that are members of segments without having one. A number
and its customer id can be turned into each other. The columns a profile has are in `PROFILE_COLUMNS`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bot.sandbox.dataverse import words

Value = str | int | float | bool | None
Derive = Callable[[Sequence[int], Sequence[int]], list[Value]]
"""A column's values for customers, from their numbers and their hashes."""

_64_BITS = (1 << 64) - 1
_MULTIPLIER = 0xD6E8FEB86659FD93  # odd, so that multiplying modulo 2**64 can be undone
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)
_OTHER_HALF = 0xA24BAED4963EE407

MASK_BITS = 16
"""Which segments a customer is in is looked up by so many bits: shares are exact to 1/65,536."""

ORPHANS_IN_A_THOUSAND = 1
SECOND_ROW_EVERY = 8
"""One customer in so many has a second membership row, from another provider."""

BROKEN_IN_1024 = 3
"""So many membership rows in 1,024 have a text in `msdynci_segments` that says nothing."""


@dataclass(frozen=True)
class Share:
    """A segment as the generator makes it: its name and the part of all customers that are in it."""

    name: str
    part: float
    friendly_name: str = ""
    active: bool = True


DEFAULT_SHARES = (
    Share("Newsletter", 0.66, "Newsletter readers"),
    Share("VIP", 0.10, "Very important people"),
    Share("VIP_2", 0.05, "Very important people, second tier"),
    Share("VIPx2", 0.02, "Double bonus"),
    Share("Lapsed_Customers", 0.15, "No order for a year"),
    Share("BigSpenders", 0.01, "Big spenders"),
    Share("Birthday_100pct", 0.08, "Birthday this month"),
    Share("客戶細分", 0.03, "客戶細分"),
    Share("重要客戶", 0.02, "重要客戶"),
    Share("Summer_2024", 0.04, "Summer campaign 2024", active=False),
    Share("Nobody", 0.0, "Nobody yet"),
)
"""Names of which one is part of another (VIP, VIP_2), or matches it when `_` stands for any character (VIPx2)."""


class Population:
    """`profiles` customers with a profile, and one in a thousand as many (at least three) without.

    All methods are pure: the same seed gives the same customers.
    """

    def __init__(self, profiles: int, seed: int, shares: Sequence[Share] = DEFAULT_SHARES) -> None:
        if profiles < 0:
            raise ValueError("there can't be fewer than no profiles")
        self.profiles = profiles
        self.customers = profiles + max(3, profiles * ORPHANS_IN_A_THOUSAND // 1000)
        self.membership_rows = self.customers + self.customers // SECOND_ROW_EVERY
        self.seed = seed
        self.shares = tuple(shares)
        self._salt = random.Random(seed).getrandbits(64)  # noqa: S311 (made-up customers, no secrets)

    def hashes(self, numbers: Sequence[int]) -> list[int]:
        """64 well-mixed bits of each customer number: whatever is made up about it is taken from them."""
        salt = self._salt
        mixed = []
        for number in numbers:
            bits = (number * _MULTIPLIER + salt) & _64_BITS
            bits = ((bits ^ bits >> 32) * _MULTIPLIER) & _64_BITS
            mixed.append(bits ^ bits >> 32)
        return mixed

    def customer_ids(self, hashes: Sequence[int]) -> list[str]:
        """32 hexadecimal characters each: the hash, and as many bits that follow from it."""
        salt = self._salt
        return [f"{bits:016x}{bits * _OTHER_HALF + salt & _64_BITS:016x}" for bits in hashes]

    def number_of(self, customer_id: str) -> int | None:
        """The number behind a customer id, whether or not there is such a customer; None for any other text."""
        try:
            bits = int(customer_id[:16], 16)
        except ValueError:
            return None
        if self.customer_ids([bits]) != [customer_id]:
            return None
        bits = (bits ^ bits >> 32) * _INVERSE & _64_BITS
        bits ^= bits >> 32
        return (bits - self._salt) * _INVERSE & _64_BITS

    @cached_property
    def masks(self) -> list[int]:
        """For each value of a hash's upper 16 bits, the segments that such a customer is in: bit i for share i."""
        masks = [0] * (1 << MASK_BITS)
        for index, share in enumerate(self.shares):
            self.add_share(masks, index, share)
        return masks

    def add_share(self, masks: list[int], index: int, share: Share) -> None:
        chosen = random.Random(f"{self.seed}/{index}/{share.name}")  # noqa: S311
        for place in chosen.sample(range(len(masks)), round(share.part * len(masks))):
            masks[place] |= 1 << index


def clean_email(number: int, bits: int) -> str:
    """The address a customer has unless something went wrong with it: no two customers have the same."""
    first = words.FIRST_NAMES[bits % 31][1]
    last = words.LAST_NAMES[(bits >> 8) % 29][1]
    return f"{first}.{last}.{number}@{words.DOMAINS[(bits >> 16) % 7]}"


def _emails(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    emails: list[Value] = list(map(clean_email, numbers, hashes))
    for place, bits in enumerate(hashes):
        if (bits >> 24) & 1023 < _DIRTY_EMAILS:
            emails[place] = _dirty_email((bits >> 24) & 1023, numbers[place], bits, str(emails[place]))
    return emails


_DIRTY_EMAILS = 104


def _dirty_email(kind: int, number: int, bits: int, clean: str) -> str | None:
    """What is wrong with about one address in ten; `kind` is below 104, its ranges are the frequencies in 1,024."""
    if kind < 20:
        return None
    if kind < 25:
        return ""
    if kind < 35:
        return words.INVALID_EMAILS[number % len(words.INVALID_EMAILS)]
    if kind < 55:  # a household that shares one address
        return f"family.{number // 100}@example.com"
    if kind < 85:
        return clean.upper() if kind % 2 else clean.title()
    if kind < 95:
        return f"  {clean} " if kind % 2 else f"{clean}\t"
    if kind < 100:
        return f"zoë.{number}@bücher.example"
    if kind < 102:
        return f"{words.LONG_LOCAL_PART}{number}@example.com"
    if kind < 103:
        return f"nul\x00{clean}"
    return f"{words.RIGHT_TO_LEFT_OVERRIDE}{clean}"


def _first_names(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    names = [name for name, _ in words.FIRST_NAMES]
    column: list[Value] = [names[bits % 31] for bits in hashes]
    for place, bits in enumerate(hashes):
        if (bits >> 34) & 1023 < 24:
            kind = (bits >> 34) & 1023
            column[place] = None if kind < 20 else f" {column[place]}  " if kind < 23 else words.LONG_TEXT
    return column


def _last_names(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    names = [name for name, _ in words.LAST_NAMES]
    column: list[Value] = [names[(bits >> 8) % 29] for bits in hashes]
    for place, bits in enumerate(hashes):
        if (bits >> 36) & 1023 < 12:
            kind = (bits >> 36) & 1023
            broken = f"{column[place]}\x00" if kind < 11 else f"{words.RIGHT_TO_LEFT_OVERRIDE}{column[place]}"
            column[place] = None if kind < 10 else broken
    return column


def _full_names(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    first = [name for name, _ in words.FIRST_NAMES]
    last = [name for name, _ in words.LAST_NAMES]
    return [f"{first[bits % 31]} {last[(bits >> 8) % 29]}" for bits in hashes]


def _from(values: Sequence[Value], shift: int) -> Derive:
    """A column that takes one of `values` by the bits from `shift` on."""
    size = len(values)

    def column(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
        return [values[(bits >> shift) % size] for bits in hashes]

    return column


def _of_place(part: int) -> Derive:
    return _from([place[part] for place in words.PLACES], 20)


def _dates(first_year: int, years: int, time: str, missing_in_8: int) -> Sequence[Value]:
    dated = [f"{first_year + i % years}-{i % 12 + 1:02}-{i % 28 + 1:02}{time}" for i in range(840)]
    return [None if i % 8 < missing_in_8 else day for i, day in enumerate(dated)]


def _notes(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    column: list[Value] = [None] * len(hashes)
    for place, bits in enumerate(hashes):
        if bits & 15 == 0:
            column[place] = f'Called\non {bits % 28 + 1} May, <b>asked</b> for "size 42"; paid 5 €, 100 %'
        elif bits & 4095 == 1:
            column[place] = words.LONG_TEXT
    return column


def _nothing(numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
    return [None] * len(hashes)


@dataclass(frozen=True)
class Column:
    """A column as the table's definition has it. What the table itself knows is not derived from the customer."""

    type: str
    label: str | None
    derive: Derive = _nothing
    system: bool = False


PROFILE_COLUMNS: dict[str, Column] = {
    "msdynci_fullname": Column("String", "FullName", _full_names),
    "msdynci_firstname": Column("String", "FirstName", _first_names),
    "msdynci_lastname": Column("String", "LastName", _last_names),
    "msdynci_email": Column("String", "EMail", _emails),
    "msdynci_mobilephone": Column(
        "String", "MobilePhone", lambda numbers, hashes: [f"+49151{bits % 10**8:08}" for bits in hashes]
    ),
    "msdynci_addressline1": Column(
        "String",
        "AddressLine1",
        lambda numbers, hashes: [f"{bits % 199 + 1} {words.STREETS[(bits >> 12) % 7]}" for bits in hashes],
    ),
    "msdynci_city": Column("String", "City", _of_place(0)),
    "msdynci_stateorprovince": Column("String", "StateOrProvince", _of_place(1)),
    "msdynci_postalcode": Column("String", "PostalCode", _of_place(2)),
    "msdynci_country": Column("String", "Country", _of_place(3)),
    "msdynci_language": Column("String", None, _from(words.LANGUAGES, 14)),
    "msdynci_birthdate": Column("DateTime", "BirthDate", _from(_dates(1940, 65, "T00:00:00Z", 2), 9)),
    "msdynci_loyaltypoints": Column(
        "Integer", "LoyaltyPoints", lambda numbers, hashes: [bits % 25_000 for bits in hashes]
    ),
    "msdynci_lifetimevalue": Column(
        "Decimal", "LifetimeValue", lambda numbers, hashes: [(bits >> 5) % 1_000_000 / 100 for bits in hashes]
    ),
    "msdynci_marketingoptin": Column("Boolean", "MarketingOptIn", _from((True, False, None), 3)),
    "msdynci_optindate": Column("DateTime", "OptInDate", _from(_dates(2019, 8, "T09:30:00Z", 4), 7)),
    "msdynci_notes": Column("Memo", "Notes", _notes),
    "msdynci_previouscustomerid": Column("Memo", "PreviousCustomerId"),
    "msdynci_ecommerce_contacts_contactid": Column(
        "String", "eCommerce_contacts_contactId", lambda numbers, hashes: [f"C{number:09}" for number in numbers]
    ),
}
"""What unification made of the sources' fields: logical name, then type, label and how a customer's value is found."""
