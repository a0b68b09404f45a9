"""Who gets in. Reference: omnisend-api.md §2, §8, §13 rows 1, 2 and 10."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.system.omnisend_emulator_client import VERSION, Omnisend, contact, headers, omnisend_process

UNAUTHORIZED = {"type": "https://problems.omnisend.com/unauthorized", "title": "Unauthorized", "status": 401}


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Omnisend]:
    async with omnisend_process() as omnisend:
        yield omnisend


@pytest.fixture
async def omnisend(process: Omnisend) -> Omnisend:
    await process.set("/reset")
    return process


async def plain_get(omnisend: Omnisend, path: str, **sent: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=omnisend.started["url"]) as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in sent.items()})


@pytest.mark.parametrize(
    "authorization",
    ["", "Omnisend-API-Key", "Omnisend-API-Key wrong", "Bearer {key}", "{key}", "omnisend-api-key {key}"],
)
async def test_no_key_a_wrong_key_and_a_wrong_scheme_get_the_same_401(omnisend: Omnisend, authorization: str) -> None:
    answer = await plain_get(
        omnisend,
        "/brands/current",
        Authorization=authorization.format(key=omnisend.key),
        Omnisend_Version=VERSION,
    )
    assert answer.status_code == 401
    assert answer.json() == UNAUTHORIZED
    assert answer.headers["content-type"].startswith("application/json")


async def test_the_header_of_the_old_versions_is_not_a_key(omnisend: Omnisend) -> None:
    answer = await plain_get(omnisend, "/brands/current", X_API_KEY=omnisend.key, Omnisend_Version=VERSION)
    assert answer.json() == UNAUTHORIZED


async def test_a_good_key_is_shown_its_brand(omnisend: Omnisend) -> None:
    brand = await omnisend.get("/brands/current")
    assert brand["brandID"] == omnisend.started["brandID"]
    assert {"name", "website", "platform", "currency", "timezone", "connected"} <= brand.keys()


@pytest.mark.parametrize(
    ("missing", "method", "path"),
    [
        ("brands.read", "GET", "/brands/current"),
        ("contacts.read", "GET", "/contacts"),
        ("contacts.write", "POST", "/contacts"),
        ("contacts.write", "PATCH", "/contacts?email=a@example.com"),
        ("contacts.write", "POST", "/contacts/tags"),
        ("contacts.write", "DELETE", "/contacts/tags"),
        ("contacts.write", "POST", "/batches"),
        ("contacts.read", "GET", "/batches?endpoint=contacts"),
        ("segments.read", "GET", "/segments"),
        ("segments.write", "POST", "/segments"),
    ],
)
async def test_a_missing_scope_is_a_403_that_names_it(omnisend: Omnisend, missing: str, method: str, path: str) -> None:
    scopes = {"brands.read", "contacts.read", "contacts.write", "segments.read", "segments.write"} - {missing}
    key = (await omnisend.set("/keys", scopes=sorted(scopes)))["key"]
    body = {"method": "POST", "endpoint": "contacts", "items": [contact("a@example.com")]}
    async with omnisend.with_key(key) as api:
        answer = await api.request(method, path, json=None if method == "GET" else body)
    assert answer.status_code == 403
    problem = answer.json()
    assert problem["type"] == "https://problems.omnisend.com/forbidden"
    assert problem["detail"] == f"Missing {missing} scope."
    assert problem["instance"].startswith("urn:omnisend:request:")


async def test_batches_are_read_with_the_read_scope_of_their_endpoint(omnisend: Omnisend) -> None:
    batch = await omnisend.post_batch([contact("a@example.com")])
    key = (await omnisend.set("/keys", scopes=["contacts.write"]))["key"]
    async with omnisend.with_key(key) as api:
        assert (await api.get(f"/batches/{batch}")).status_code == 403
        assert (await api.get(f"/batches/{batch}/items")).status_code == 403


async def test_whether_a_key_may_write_can_be_learnt_by_tagging_nobody(omnisend: Omnisend) -> None:
    harmless = {"tags": ["x"], "emails": ["nobody@example.com"]}
    reader = (await omnisend.set("/keys", scopes=["contacts.read"]))["key"]
    async with omnisend.with_key(reader) as api:
        assert (await api.post("/contacts/tags", json=harmless)).status_code == 403
    assert (await omnisend.api.post("/contacts/tags", json=harmless)).status_code == 202
    await omnisend.advance(120)
    assert await omnisend.stored() == {}


async def test_a_revoked_key_is_refused_like_a_wrong_one_until_it_is_restored(omnisend: Omnisend) -> None:
    await omnisend.set("/keys/revoke")
    answer = await omnisend.api.get("/brands/current")
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    await omnisend.set("/keys", key=omnisend.key)
    assert (await omnisend.api.get("/brands/current")).status_code == 200


async def test_a_key_can_be_revoked_in_mid_run(omnisend: Omnisend) -> None:
    key = (await omnisend.set("/keys", revoke_after=2))["key"]
    async with omnisend.with_key(key) as api:
        codes = [(await api.get("/contacts")).status_code for _ in range(4)]
    assert codes == [200, 200, 401, 401]


async def test_the_key_of_the_start_can_be_revoked_after_some_requests() -> None:
    async with omnisend_process("--revoke-after", "1") as omnisend:
        codes = [(await omnisend.api.get("/contacts")).status_code for _ in range(2)]
        assert codes == [200, 401]
        await omnisend.set("/reset")
        assert (await omnisend.api.get("/contacts")).status_code == 200


async def test_brands_share_nothing(omnisend: Omnisend) -> None:
    other = await omnisend.set("/keys", brand="Second Shop")
    batch = await omnisend.post_batch([contact("a@example.com")])
    await omnisend.upsert("b@example.com")
    async with omnisend.with_key(other["key"]) as api:
        brand = (await api.get("/brands/current")).json()
        assert brand["brandID"] == other["brandID"] != omnisend.started["brandID"]
        assert brand["name"] == "Second Shop"
        assert (await api.get("/contacts")).json()["contacts"] == []
        assert (await api.get(f"/batches/{batch}")).status_code == 404
        assert (await api.get("/batches?endpoint=contacts")).json()["batches"] == []
        assert (await api.post("/contacts", json=contact("b@example.com"))).status_code == 201


@pytest.mark.parametrize("version", ["", "v5", "2026-3-15", "2026-13-15", "latest"])
async def test_a_missing_or_malformed_version_is_a_400(omnisend: Omnisend, version: str) -> None:
    async with httpx.AsyncClient(base_url=omnisend.started["url"]) as client:
        sent = headers(omnisend.key, version)
        if not version:
            del sent["Omnisend-Version"]
        answer = await client.get("/brands/current", headers=sent)
    assert answer.status_code == 400
    assert answer.json()["title"] == "Bad request"


@pytest.mark.parametrize(
    ("version", "code"),
    [("2020-01-01", 410), ("2026-03-14", 410), ("2026-03-15", 200), ("2027-01-01", 200), ("2026-preview", 200)],
)
async def test_a_date_means_the_nearest_earlier_release(omnisend: Omnisend, version: str, code: int) -> None:
    answer = await omnisend.api.get("/brands/current", headers={"Omnisend-Version": version})
    assert answer.status_code == code


async def test_a_version_can_be_retired(omnisend: Omnisend) -> None:
    await omnisend.set("/versions/retire", version=VERSION)
    answer = await omnisend.api.get("/brands/current")
    assert answer.status_code == 410
    assert answer.json()["status"] == 410


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/contacts"), ("DELETE", "/contacts"), ("GET", "/lists"), ("DELETE", "/batches/1"), ("GET", "/")],
)
async def test_an_operation_that_does_not_exist_is_a_404(omnisend: Omnisend, method: str, path: str) -> None:
    answer = await omnisend.api.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["type"] == "https://problems.omnisend.com/not-found"


async def test_contacts_cannot_be_deleted(omnisend: Omnisend) -> None:
    made = await omnisend.upsert("a@example.com")
    assert (await omnisend.api.delete(f"/contacts/{made['id']}")).status_code == 404
    assert "a@example.com" in await omnisend.stored()


async def test_without_a_key_nobody_learns_which_operations_exist(omnisend: Omnisend) -> None:
    assert (await plain_get(omnisend, "/lists", Omnisend_Version=VERSION)).status_code == 401


@pytest.mark.parametrize(
    ("content", "content_type"), [(b"{", "application/json"), (b"", "application/json"), (b"{}", "text/plain")]
)
async def test_a_body_that_is_not_json_is_a_400(omnisend: Omnisend, content: bytes, content_type: str) -> None:
    answer = await omnisend.api.post("/contacts", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400


async def test_an_unknown_query_parameter_is_a_400(omnisend: Omnisend) -> None:
    for path in ("/contacts", "/batches?endpoint=contacts", "/segments", "/brands/current"):
        answer = await omnisend.api.get(path, params={"colour": "red"} | dict(httpx.URL(path).params))
        assert answer.status_code == 400, path
        assert [error["field"] for error in answer.json()["errors"]] == ["colour"]
