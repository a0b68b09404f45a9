"""What may be shown of a profile outside: never more than a first letter. Design: no personal data in clear."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.services.masking import MASK, mask_email, mask_id, mask_value


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("ann.lee@example.com", "a•••@e•••.com"),
        ("  Ann.Lee@Example.COM ", "A•••@E•••.COM"),
        ("a@b.de", "a•••@b•••.de"),
        ("ann@mail.example.co.uk", "a•••@m•••.uk"),
        ("ann@localhost", "a•••@l•••"),
        ("ann@example.photography", "a•••@e•••"),
        ("ann@例子.公司", "a•••@例•••"),
        ("王小明@example.com", "王•••@e•••.com"),
        ("a@b@example.com", "a•••@e•••.com"),
        ('"ann lee"@example.com', "•••@e•••.com"),
        ("@example.com", "•••@e•••.com"),
        ("ann@", "a•••@•••"),
        ("@", "•••@•••"),
        ("@.com", "•••@•••"),
        ("ann@example.", "a•••@e•••"),
        ("\u202eann@example.com", "•••@e•••.com"),
        ("ann lee", "a•••"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_an_email_shows_its_first_letters_and_a_short_ending(email: str, masked: str) -> None:
    assert mask_email(email) == masked


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("Hong Kong", "H•••"),
        ("客戶", "客•••"),
        ("12345", "1•••"),
        ("F", "•••"),
        ("(0) 123", "•••"),
        ("call ann.lee@example.com", "c•••@e•••.com"),
        ("", ""),
        (" \t", ""),
    ],
)
def test_a_value_shows_its_first_letter_at_most(value: str, masked: str) -> None:
    assert mask_value(value) == masked


@pytest.mark.parametrize(
    ("customer_id", "shown"), [("c-17", "c-17"), ("ann.lee@example.com", "a•••@e•••.com"), ("", "")]
)
def test_a_customer_id_is_shown_unless_it_is_an_address(customer_id: str, shown: str) -> None:
    assert mask_id(customer_id) == shown


letters = st.text(string.ascii_letters, min_size=1, max_size=30)


@given(local=letters, domain=letters, ending=letters)
def test_an_address_of_letters_never_shows_more_than_two_of_them_and_a_short_ending(
    local: str, domain: str, ending: str
) -> None:
    shown = mask_email(f"{local}@{domain}.{ending}")
    assert shown in (f"{local[0]}{MASK}@{domain[0]}{MASK}", f"{local[0]}{MASK}@{domain[0]}{MASK}.{ending}")
    assert len(ending) <= 4 or not shown.endswith(ending)


@given(st.text())
def test_whatever_is_masked_shows_at_most_two_first_letters_and_four_of_an_ending(text: str) -> None:
    for masked in (mask_email(text), mask_value(text)):
        rest = masked.replace(MASK, "").replace("@", "", 1)
        assert len(rest) <= 2 + len(".info")
        assert not masked or MASK in masked
