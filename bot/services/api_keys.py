"""API keys of brands: checked live, sealed, and never shown again."""

from bot.omnisend.errors import KeyRefused, OmnisendError, ScopeMissing
from bot.omnisend.models import Brand
from bot.services.errors import KeyLacksScope, KeyMissing, KeyNotAccepted, KeyNotChecked
from bot.services.ports import Omnisend
from storage.errors import mark
from storage.models import Connection, now
from storage.secrets import Keys

OWN_BRAND = "key-"  # begins the brand id of a key that may not read its brand
HINT_FROM = 12  # characters: of a shorter key, four would give away too much

BRAND_UNREADABLE = mark(
    "This key may not read its brand, so the shop can't be named here, and another key of the same shop will look like "
    "another shop: it starts a ledger of its own, and neither the rate limit nor the ownership of segments is shared "
    "with it. A key with the permission brands.read avoids that."
)
"""What follows from a key that can't read its brand; to be shown beside such a connection."""


class ApiKeys:
    def __init__(self, engine: Omnisend, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys

    async def check(self, key: str) -> Brand:
        """Ask Omnisend whose key it is and what it may do.

        Raises `KeyMissing`, `KeyNotAccepted`, `KeyLacksScope` or `KeyNotChecked`, all of the field `api_key`.
        """
        if not key.strip():
            raise KeyMissing
        try:
            return await self._engine.check_key(key.strip())
        except KeyRefused as error:
            raise KeyNotAccepted from error
        except ScopeMissing as error:
            raise KeyLacksScope(scope=error.scope or error.detail or "contacts.write") from error
        except OmnisendError as error:
            raise KeyNotChecked(error) from error

    def put(self, connection: Connection, key: str, brand: Brand) -> None:
        """Store a key with what is known of its brand. The connection must have its id: the key is bound to its row."""
        connection.api_key = self._keys.vault.seal(key, row=f"connection/{connection.id}/api_key")
        connection.key_hint = key[-4:] if len(key) >= HINT_FROM else ""
        connection.brand_id = self.brand_id(brand, key)
        connection.brand_name, connection.brand_website = brand.name, brand.website
        connection.segments_scope = True  # until Omnisend says otherwise of this key too
        connection.updated_at = now()

    def brand_id(self, brand: Brand, key: str) -> str:
        """The brand's id, or one of its own for a key that can't read it (see `BRAND_UNREADABLE`)."""
        return brand.id or OWN_BRAND + self._keys.digest.of(f"api-key\x1f{key}".encode()).hex()[:12]


def brand_is_readable(connection: Connection) -> bool:
    return not connection.brand_id.startswith(OWN_BRAND)
