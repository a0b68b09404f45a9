"""Countries by name and code to ISO 3166-1 alpha-2. Reference: omnisend-api.md §3.2 (`countryCode`)."""

import pytest

from bot.pipeline.countries import codes, english_names, fold


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Germany", "DE"),
        ("germany", "DE"),
        ("  GERMANY ", "DE"),
        ("Deutschland", "DE"),
        ("Allemagne", "DE"),
        ("Alemania", "DE"),
        ("德国", "DE"),
        ("德國", "DE"),
        ("ドイツ", "DE"),
        ("독일", "DE"),
        ("España", "ES"),
        ("Espan\u0303a", "ES"),  # decomposed
        ("de", "DE"),
        ("GB", "GB"),
        ("UK", "GB"),
        ("USA", "US"),
        ("DEU", "DE"),
        ("840", "US"),
        ("United  States of\tAmerica", "US"),
        ("England", "GB"),
        ("Holland", "NL"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Côte d’Ivoire", "CI"),
        ("Taiwan", "TW"),
        ("台灣", "TW"),
        ("中国", "CN"),
        ("中國", "CN"),
        ("Hong Kong", "HK"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("Österreich", "AT"),
        ("Schweiz", "CH"),
        ("Suisse", "CH"),
        ("South Korea", "KR"),
        ("Georgia", "GE"),
        ("Jersey", "JE"),
    ],
)
def test_a_country_is_known_by(text: str, code: str) -> None:
    assert codes()[fold(text)] == code


@pytest.mark.parametrize("text", ["", "Atlantis", "EU", "Europe", "Europäische Union", "ZZ", "XX", "999", "Bavaria"])
def test_what_is_no_country_has_no_code(text: str) -> None:
    assert fold(text) not in codes()


def test_every_code_has_an_english_name_that_leads_back_to_it() -> None:
    table = codes()
    for code, name in english_names().items():
        assert table[fold(code)] == code
        assert table[fold(name)] == code


def test_codes_are_two_capital_letters() -> None:
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in codes().values())


def test_names_are_compared_in_a_form_that_does_not_change_any_more() -> None:
    assert all(fold(name) == name for name in codes())
