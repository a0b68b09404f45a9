"""Values of profiles as they may be shown outside: never more than a first letter."""

import re

MASK = "•••"

_ENDING = re.compile(r"\.[A-Za-z]{2,4}")  # a top-level domain that says nothing of a person


def mask_email(email: str) -> str:
    """`ann.lee@example.com` → `a•••@e•••.com`. What is no email address is masked as any value is.

    Shows at most the first letter of the local part, the first letter of the domain, and a short top-level domain.
    """
    local, at, domain = email.strip().rpartition("@")
    if not at:
        return mask_value(email)
    name, dot, ending = domain.rpartition(".")
    shown = dot + ending if name and _ENDING.fullmatch(dot + ending) else ""
    return f"{_first(local)}{MASK}@{_first(domain)}{MASK}{shown}"


def mask_value(text: str) -> str:
    """`Hong Kong` → `H•••`. A value of one letter is masked whole; an empty one stays empty."""
    value = text.strip()
    if not value:
        return ""
    if "@" in value:
        return mask_email(value)
    return MASK if len(value) == 1 else _first(value) + MASK


def mask_id(customer_id: str) -> str:
    """A customer id says by itself nothing of a person, unless it is their email address."""
    return mask_email(customer_id) if "@" in customer_id else customer_id


def _first(text: str) -> str:
    """The first letter or digit, if the text begins with one: no quotes, blanks or marks that turn text around."""
    return text[0] if text and text[0].isalnum() else ""
