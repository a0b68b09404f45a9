"""Mappings: what can be saved, and what is suggested in five languages. Reference: omnisend-api.md §3.2, §3.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.omnisend.contacts import MAX_CUSTOM_PROPERTIES, MAX_PROPERTY_NAME, STANDARD, segment_property
from bot.pipeline.mapping import (
    BadTemplate,
    EmailNotMapped,
    Line,
    MappedTwice,
    MappingError,
    ReservedProperty,
    TooManyProperties,
    UnknownAttribute,
    UnknownField,
    check,
    custom_property,
    suggest,
)
from bot.sources.base import Field
from bot.sources.dataverse.columns import columns
from storage.models import MappingKind

EMAIL = Line("email", "Email")


def template(attribute: str, value: str) -> Line:
    return Line(attribute, value, MappingKind.TEMPLATE)


def fields(*names: str) -> list[Field]:
    return [Field(name) for name in names]


# --- what can be saved


def test_a_checked_mapping_has_the_email_first_and_the_others_in_their_order() -> None:
    plan = check([Line("city", "Town"), EMAIL, Line("custom:Plan", "Tier")])
    assert plan.email == EMAIL
    assert [line.attribute for line in plan.attributes] == ["city", "custom:Plan"]
    assert plan.fields == ["Email", "Town", "Tier"]


@pytest.mark.parametrize("attribute", [name for name in STANDARD if name != "email"])
def test_every_standard_attribute_can_be_mapped_and_has_a_label(attribute: str) -> None:
    (line,) = check([EMAIL, Line(attribute, "Field")]).attributes
    assert line.label == STANDARD[attribute].label


@pytest.mark.parametrize("lines", [[], [Line("city", "Town")], [Line("email", "")], [Line("email", "  ")]])
def test_a_mapping_without_an_email_field_is_refused(lines: list[Line]) -> None:
    with pytest.raises(EmailNotMapped, match="needs the Email field"):
        check(lines)


@pytest.mark.parametrize("attribute", ["email", "city", "custom:Plan"])
def test_an_attribute_mapped_twice_is_refused(attribute: str) -> None:
    with pytest.raises(MappedTwice, match="twice") as refused:
        check([EMAIL, Line(attribute, "One"), Line(attribute, "Other")])
    assert refused.value.attribute == attribute


@pytest.mark.parametrize(
    "attribute",
    ["phone", "tags", "Email", "", "custom:", "custom:a b", "custom:größe", "custom:a.b", "custom:" + "x" * 129],
)
def test_what_omnisend_has_no_attribute_for_is_refused(attribute: str) -> None:
    with pytest.raises(UnknownAttribute) as refused:
        check([EMAIL, Line(attribute, "Field")])
    assert refused.value.attribute == attribute


@pytest.mark.parametrize("name", ["a", "Loyalty_Tier_2", "x" * 128])
def test_a_custom_property_may_have_latin_letters_digits_and_underscores(name: str) -> None:
    assert check([EMAIL, Line(f"custom:{name}", "Field")]).attributes[0].property_name == name


@pytest.mark.parametrize("value", ["{First", "First}", "{}", "{First} {", "{{First}}", "a } b"])
def test_a_template_with_a_lonely_brace_is_refused_and_the_remedy_shows_how_to_write_one(value: str) -> None:
    with pytest.raises(BadTemplate, match=r"\{FirstName\} \{LastName\}"):
        check([EMAIL, template("firstName", value)])


def test_a_field_may_have_a_brace_in_its_name() -> None:
    assert check([EMAIL, Line("city", "odd{name")]).fields == ["Email", "odd{name"]


def test_custom_properties_and_segments_together_are_limited() -> None:
    lines = [EMAIL, *(Line(f"custom:p{number}", "Field") for number in range(MAX_CUSTOM_PROPERTIES - 2))]
    assert len(check(lines, segments=2).attributes) == MAX_CUSTOM_PROPERTIES - 2
    with pytest.raises(TooManyProperties, match=r"201.*200"):
        check(lines, segments=3)


def test_a_field_that_the_source_lacks_is_refused_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(UnknownField, match=r"no field named e-mail\. Did you mean EMail\?.*email"):
        check([Line("email", "e-mail")], fields("Name", "EMail"))


def test_a_field_of_a_template_that_the_source_lacks_is_refused() -> None:
    with pytest.raises(UnknownField, match="LastName") as refused:
        check([EMAIL, template("firstName", "{FirstName} {LastName}")], fields("Email", "FirstName"))
    assert refused.value.attribute == "firstName"


def test_a_constant_needs_no_field() -> None:
    assert check([EMAIL, template("custom:Origin", "CRM")], fields("Email")).fields == ["Email"]


def test_every_refusal_says_that_nothing_was_saved() -> None:
    with pytest.raises(MappingError, match="Nothing was saved"):
        check([])


# --- templates


def test_a_template_is_cut_into_text_and_fields() -> None:
    line = template("firstName", "Dear {First} {Last}!")
    assert line.parts() == [("Dear ", False), ("First", True), (" ", False), ("Last", True), ("!", False)]
    assert line.fields == ("First", "Last")


def test_a_field_used_twice_is_needed_once() -> None:
    assert template("firstName", "{A}{B}{A}").fields == ("A", "B")


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="{}"), min_size=1), st.booleans()), max_size=8))
def test_the_pieces_of_a_template_are_what_it_was_written_from(pieces: list[tuple[str, bool]]) -> None:
    written = "".join(f"{{{text}}}" if is_field else text for text, is_field in pieces)
    line = template("city", written)
    assert "".join(f"{{{text}}}" if is_field else text for text, is_field in line.parts()) == written
    assert [text for text, is_field in line.parts() if is_field] == [text for text, is_field in pieces if is_field]


def test_a_plan_says_what_a_field_is_used_for() -> None:
    plan = check([EMAIL, Line("country", "Land"), template("custom:Greeting", "From {Land}")])
    assert plan.used_for("Land") == "Country/Region, Greeting"


@pytest.mark.parametrize("segment", ["VIP", "重要客戶", "Summer 2026 – all"])
def test_a_property_that_stands_for_a_segment_can_not_be_mapped(segment: str) -> None:
    """Else an export could put people into a segment that another one owns."""
    with pytest.raises(ReservedProperty):
        check([EMAIL, Line(f"custom:{segment_property(segment)}", "Field")])


@pytest.mark.parametrize("name", ["segment", "segment_of_business", "segment_2026", "my_segment_vip_3f9a1c20"])
def test_other_properties_may_be_named_after_segments(name: str) -> None:
    assert check([EMAIL, Line(f"custom:{name}", "Field")]).attributes[0].property_name == name


# --- suggestions

LANGUAGES = {
    "English": ("EMail", "First Name", "LastName", "Address1", "Country/Region", "State or Province", "City", "ZIP"),
    "German": ("E-Mail", "Vorname", "Nachname", "Straße", "Land", "Bundesland", "Ort", "PLZ"),
    "French": ("Courriel", "Prénom", "Nom", "Adresse", "Pays", "Département", "Ville", "Code postal"),
    "Spanish": ("Correo electrónico", "Nombre", "Apellidos", "Dirección", "País", "Provincia", "Ciudad", "C.P."),
    "Chinese": ("电子邮件", "名字", "姓氏", "地址", "国家", "省份", "城市", "邮政编码"),
    "traditional Chinese": ("電子郵件", "名", "姓", "街道", "國家", "州", "市", "郵遞區號"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_fields_are_suggested_by_their_names_in(language: str) -> None:
    names = LANGUAGES[language]
    assert suggest(fields("CustomerSince", *reversed(names), "Notes")) == dict(zip(STANDARD, names, strict=True))


@pytest.mark.parametrize("name", ["msdynci_email", "contact_Email", "customer_e_mail", "EMailAddress1"])
def test_a_usual_prefix_does_not_hide_a_field(name: str) -> None:
    assert suggest(fields(name)) == {"email": name}


def test_a_semantic_type_counts_for_more_than_a_name() -> None:
    known = [Field("Email"), Field("Contact point", semantic_type="Identity.Service.Email")]
    assert suggest(known)["email"] == "Contact point"


def test_a_field_is_suggested_once() -> None:
    suggestions = suggest([Field("Name", semantic_type="Person.FirstName"), Field("nom")])
    assert suggestions == {"firstName": "Name", "lastName": "nom"}


def test_the_most_telling_name_wins() -> None:
    assert suggest(fields("Mail", "Email"))["email"] == "Email"


def test_nothing_is_suggested_for_names_that_say_nothing() -> None:
    assert suggest(fields("Field1", "Total", "Emailed on")) == {}


@given(st.lists(st.text()))
def test_any_names_give_suggestions_of_fields_that_exist_each_once(names: list[str]) -> None:
    suggestions = suggest(fields(*names))
    assert suggestions.keys() <= STANDARD.keys()
    assert set(suggestions.values()) <= set(names)
    if len(set(names)) == len(names):
        assert len(set(suggestions.values())) == len(suggestions)


# --- names of custom properties


@pytest.mark.parametrize(
    ("field", "expected"), [("Loyalty tier", "Loyalty_tier"), ("Größe (cm)", "Groe_cm"), ("客户等级", "field")]
)
def test_a_custom_property_is_named_after_its_field(field: str, expected: str) -> None:
    assert custom_property(field, []) == expected


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert custom_property("a b", ["a_b", "a_b_2"]) == "a_b_3"


@given(st.text(max_size=300), st.integers(0, 5))
def test_a_property_name_can_always_be_mapped_and_is_unlike_those_taken(field: str, others: int) -> None:
    taken: list[str] = []
    for _ in range(others):
        taken.append(custom_property(field, taken))
    name = custom_property(field, taken)
    assert name not in taken
    assert len(name) <= MAX_PROPERTY_NAME
    assert check([EMAIL, Line(f"custom:{name}", "Field")])


def test_columns_of_customer_insights_are_suggested_by_their_meaning() -> None:
    """reference: customer-insights.md §9 (semantic types), §12.4 (attributes of the profile's table)."""
    names = (
        "city",
        "email",
        "firstname",
        "gender",
        "lastname",
        "addressline1",
        "stateorprovince",
        "postalcode",
        "country",
    )
    found = columns([{"LogicalName": f"msdynci_{name}", "AttributeType": "String"} for name in names])
    assert suggest([column.field for column in found]) == {
        "email": "msdynci_email",
        "firstName": "msdynci_firstname",
        "lastName": "msdynci_lastname",
        "address": "msdynci_addressline1",
        "country": "msdynci_country",
        "state": "msdynci_stateorprovince",
        "city": "msdynci_city",
        "postalCode": "msdynci_postalcode",
    }
