"""Mapping: which profile field becomes which Omnisend attribute, checked and suggested."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.omnisend.contacts import (
    ATTRIBUTES,
    CUSTOM,
    MAX_CUSTOM_PROPERTIES,
    MAX_PROPERTY_NAME,
    OPT_IN,
    OPT_IN_DATE,
    OPT_IN_STATUS,
    property_name,
)
from bot.sources.base import Field
from bot.sources.nearest import nearest
from storage.errors import FerryError, mark
from storage.models import MappingKind

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_SEGMENT_PROPERTY = re.compile(r"segment_(.+_)?[0-9a-f]{8}")
_PROPERTY_NAME = re.compile(rf"[A-Za-z0-9_]{{1,{MAX_PROPERTY_NAME}}}")


class MappingError(FerryError):
    """A mapping that can't be saved. `attribute` says at which line."""

    code = "mapping"
    consequence = mark("Nothing was saved.")

    def __init__(self, attribute: str, **facts: object) -> None:
        self.attribute = attribute
        super().__init__(attribute=attribute, **facts)


class EmailNotMapped(MappingError):
    code = "mapping-email"
    what = mark("An export needs the Email field: Omnisend knows contacts by it.")
    remedy = mark("Choose the profile field that holds the email address.")


class MappedTwice(MappingError):
    code = "mapping-twice"
    what = mark("{attribute} is mapped twice.")
    remedy = mark("Keep one of the two.")


class UnknownAttribute(MappingError):
    code = "mapping-attribute"
    what = mark("Omnisend has no attribute named {attribute}.")
    remedy = mark("Choose one of the list, or a custom property (Latin letters, digits and _, at most 128).")


class ReservedProperty(MappingError):
    code = "mapping-reserved"
    what = mark(
        "Custom properties named like {attribute} say who is in a segment: only the segment's own export sets it."
    )
    remedy = mark("Choose another name for the property.")


class UnknownField(MappingError):
    code = "mapping-field"
    what = mark("The profile has no field named {field}.{near}")
    remedy = mark("Choose another field for {attribute}.")


class TooManyProperties(MappingError):
    code = "mapping-properties"
    what = mark("{count} custom properties are more than the {most} that a contact can have, segments included.")
    remedy = mark("Map fewer custom properties or choose fewer segments.")


class BadTemplate(MappingError):
    code = "mapping-template"
    what = mark("The template {value} has a brace without its partner.")
    remedy = mark("Write fields as {{FieldName}}, for example {{FirstName}} {{LastName}}.")


class OptInIncomplete(MappingError):
    code = "mapping-opt-in"
    what = mark("An opt-in needs two fields, its status and its date: Omnisend keeps the status with the later date.")
    remedy = mark("Choose the other field too, or neither: new contacts then arrive as non-subscribed.")


class OptInFromText(MappingError):
    code = "mapping-opt-in-text"
    what = mark("An opt-in comes from the profile, each person's own: a text can't say it for everybody.")
    remedy = mark("Choose a profile field for {attribute}.")


class OptInFromOneField(MappingError):
    code = "mapping-opt-in-field"
    what = mark("The status and the date of an opt-in can't both be in the field {field}.")
    remedy = mark("Choose the field with the status (such as subscribed or true) and the one with its date.")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a mapping: `attribute` is made from a field, or from a template such as `{First} {Last}`."""

    attribute: str
    value: str
    kind: MappingKind = MappingKind.FIELD
    clear: bool = False  # an empty value blanks the attribute at Omnisend instead of leaving it as it is

    @property
    def fields(self) -> tuple[str, ...]:
        if self.kind is MappingKind.FIELD:
            return (self.value,)
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.value)))

    @property
    def is_custom(self) -> bool:
        return self.attribute.startswith(CUSTOM)

    @property
    def property_name(self) -> str:
        return self.attribute.removeprefix(CUSTOM)

    @property
    def label(self) -> str:
        return self.property_name if self.is_custom else ATTRIBUTES[self.attribute].label

    def parts(self) -> list[tuple[str, bool]]:
        """A template cut into pieces: (text, False) as it stands, (field, True) to be filled in."""
        pieces: list[tuple[str, bool]] = []
        for position, piece in enumerate(_PLACEHOLDER.split(self.value)):
            if piece:
                pieces.append((piece, position % 2 == 1))
        return pieces


@dataclass(frozen=True, slots=True)
class OptIn:
    """The fields that say of each person whether they are subscribed, and since when."""

    status: str
    date: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A mapping that was checked: the email line first, then the others, an opt-in's last."""

    lines: tuple[Line, ...]

    @property
    def email(self) -> Line:
        return self.lines[0]

    @property
    def attributes(self) -> tuple[Line, ...]:
        """What is sent as it is: neither the email nor the opt-in."""
        return tuple(line for line in self.lines[1:] if line.attribute not in OPT_IN)

    @property
    def opt_in(self) -> OptIn | None:
        found = {line.attribute: line.value for line in self.lines}
        if OPT_IN_STATUS.name not in found:
            return None
        return OptIn(found[OPT_IN_STATUS.name], found[OPT_IN_DATE.name])

    @property
    def fields(self) -> list[str]:
        """Every profile field that is needed, once each."""
        return list(dict.fromkeys(field for line in self.lines for field in line.fields))

    def used_for(self, field: str) -> str:
        return ", ".join(line.label for line in self.lines if field in line.fields)


def check(lines: Iterable[Line], fields: Iterable[Field] | None = None, segments: int = 0) -> Plan:
    """Check a mapping against what Omnisend takes and, if given, the source's fields; raise `MappingError`."""
    lines = list(lines)
    email = [line for line in lines if line.attribute == "email" and line.value.strip()]
    if not email:
        raise EmailNotMapped("email")
    seen: set[str] = set()
    for line in lines:
        if line.attribute in seen:
            raise MappedTwice(line.attribute)
        seen.add(line.attribute)
        known = _PROPERTY_NAME.fullmatch(line.property_name) if line.is_custom else line.attribute in ATTRIBUTES
        if not known:
            raise UnknownAttribute(line.attribute)
        if line.is_custom and _SEGMENT_PROPERTY.fullmatch(line.property_name):
            raise ReservedProperty(line.property_name)
        if line.kind is MappingKind.TEMPLATE and re.search(r"[{}]", _PLACEHOLDER.sub("", line.value)):
            raise BadTemplate(line.attribute, value=line.value)
    custom = sum(line.is_custom for line in lines) + segments
    if custom > MAX_CUSTOM_PROPERTIES:
        raise TooManyProperties("custom", count=custom, most=MAX_CUSTOM_PROPERTIES)
    opt_in = _check_opt_in([line for line in lines if line.attribute in OPT_IN])
    if fields is not None:
        _check_fields(lines, [field.name for field in fields])
    others = (line for line in lines if line is not email[0] and line.attribute not in OPT_IN)
    return Plan((email[0], *others, *opt_in))


def _check_opt_in(lines: Sequence[Line]) -> list[Line]:
    """Its status and its date, or nothing."""
    mapped = {line.attribute: line for line in lines if line.value.strip()}
    for name in OPT_IN if lines else ():
        if name not in mapped:
            raise OptInIncomplete(name)
        if mapped[name].kind is not MappingKind.FIELD:
            raise OptInFromText(name)
    if lines and len({line.value for line in lines}) == 1:
        raise OptInFromOneField(OPT_IN_DATE.name, field=lines[0].value)
    return [replace(mapped[name], clear=False) for name in OPT_IN if name in mapped]


def _check_fields(lines: Sequence[Line], names: Sequence[str]) -> None:
    for line in lines:
        for field in line.fields:
            if field not in names:
                alike = next((name for name in names if _fold(name) == _fold(field)), None)
                alike = alike or nearest(field, names)
                near = f" Did you mean {alike}?" if alike else ""
                raise UnknownField(line.attribute, field=field, near=near)


# --- suggestions

# What people call these fields, folded (lower case, letters and digits only), most telling first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "emailaddress", "mail", "primaryemail", "emailaddress1", "contactemail", "eposta", "epost",
              "mailadresse", "emailadresse", "courriel", "adressemail", "adresseemail", "correo",
              "correoelectronico", "电子邮件", "电子邮箱", "邮箱", "電子郵件", "電郵", "郵箱", "信箱"),
    "firstName": ("firstname", "givenname", "forename", "fname", "vorname", "rufname", "prenom", "nombre",
                  "primernombre", "名", "名字", "givennames"),
    "lastName": ("lastname", "surname", "familyname", "lname", "nachname", "familienname", "zuname", "nom",
                 "nomdefamille", "apellido", "apellidos", "姓", "姓氏"),
    "address": ("address", "street", "streetaddress", "addressline1", "address1", "address1line1", "adresse",
                "strasse", "anschrift", "rue", "direccion", "calle", "domicilio", "地址", "街道", "住址"),
    "country": ("country", "countryregion", "countrycode", "countryorregion", "land", "staat", "pays", "pais",
                "国家", "國家", "国家地区", "國家地區", "address1country"),
    "state": ("state", "stateorprovince", "province", "region", "county", "bundesland", "kanton", "etat",
              "departement", "estado", "provincia", "comunidad", "省", "省份", "州", "address1stateorprovince"),
    "city": ("city", "town", "stadt", "ort", "wohnort", "ville", "commune", "ciudad", "localidad", "municipio",
             "城市", "市", "address1city"),
    "postalCode": ("postalcode", "postcode", "zip", "zipcode", "plz", "postleitzahl", "codepostal", "cp",
                   "codigopostal", "邮政编码", "邮编", "郵遞區號", "郵政編碼", "address1postalcode"),
}  # fmt: skip

_SEMANTIC = {
    "Identity.Service.Email": "email",
    "Person.FirstName": "firstName",
    "Person.LastName": "lastName",
    "Location.Address": "address",
    "Location.Country": "country",
    "Location.State": "state",
    "Location.City": "city",
    "Location.ZipCode": "postalCode",
    "Location.PostalCode": "postalCode",
}
_PREFIXES = ("msdynci_", "customer_", "contact_", "billing_", "shipping_", "home_")


def suggest(fields: Sequence[Field]) -> dict[str, str]:
    """For each standard attribute the profile field that most likely holds it: attribute → field name.

    A semantic type counts for more than a name; a field is suggested once. Names are known in English, German,
    French, Spanish and Chinese.
    """
    fields = [field for field in fields if not field.technical]
    suggestions: dict[str, str] = {}
    taken: set[str] = set()
    for field in fields:
        attribute = _SEMANTIC.get(field.semantic_type or "")
        if attribute and attribute not in suggestions:
            suggestions[attribute] = field.name
            taken.add(field.name)
    for attribute, names in _NAMES.items():
        if attribute not in suggestions:
            ranked = [(_rank(field.name, names), field.name) for field in fields if field.name not in taken]
            best = min((rank for rank in ranked if rank[0] is not None), default=None, key=lambda rank: rank[0] or 0)
            if best is not None:
                suggestions[attribute] = best[1]
                taken.add(best[1])
    return suggestions


def custom_property(field: str, taken: Iterable[str]) -> str:
    """A property name for a field, unlike the names already taken."""
    base = property_name(field) or "field"
    used, name, number = set(taken), base, 2
    while name in used:
        name, number = f"{base[: MAX_PROPERTY_NAME - 4]}_{number}", number + 1
    return name


def _rank(field: str, names: Sequence[str]) -> int | None:
    plain = field.lower()
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    folded = _fold(plain)
    return names.index(folded) if folded in names else None


def _fold(name: str) -> str:
    """Lower case without accents, blanks and punctuation; other scripts stay as they are."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss"))
    return "".join(letter for letter in decomposed if letter.isalnum())
