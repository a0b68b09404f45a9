"""Reading from the Dataverse emulator: what can be asked, and how answers are paged.

reference: customer-insights.md §12.2–12.7, §12.10 (lines two to four and nine).
"""

import re
from collections.abc import AsyncIterator
from itertools import pairwise
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, error, fresh_api, running, where

N = 1_200
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", str(N), "--seed", "7") as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


class TestAnswers:
    async def test_an_answer_has_the_documented_shape(self, api: Api) -> None:
        size = "odata.maxpagesize=100"
        answer = await api.get(f"{PROFILES}?$select=msdynci_customerid,msdynci_email,msdynci_notes", size)
        assert answer.headers["Content-Type"] == "application/json; odata.metadata=minimal"
        assert answer.headers["OData-Version"] == "4.0"
        assert answer.headers["Preference-Applied"] == size
        assert answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"].isdigit()
        assert re.fullmatch(r"1,19\d,\d{3}", answer.headers["x-ms-ratelimit-time-remaining-xrm-requests"])
        body = answer.json()
        selected = f"{PROFILES}(msdynci_customerid,msdynci_email,msdynci_notes)"
        assert body["@odata.context"] == f"{api.root}$metadata#{selected}"
        assert len(body["value"]) == 100
        for row in body["value"]:
            columns = ["@odata.etag", "msdynci_customerid", "msdynci_email", "msdynci_notes"]
            assert list(row) == [*columns, "msdynci_customerprofileid"]
            assert re.fullmatch(r'W/"\d+"', row["@odata.etag"])
            assert re.fullmatch(r"[0-9a-f]{32}", row["msdynci_customerid"])
            assert GUID.fullmatch(row["msdynci_customerprofileid"])

    async def test_empty_columns_come_as_null(self, api: Api) -> None:
        rows = await api.rows(f"{PROFILES}?$select=msdynci_email,msdynci_previouscustomerid")
        assert any(row["msdynci_email"] is None for row in rows)
        assert all(row["msdynci_previouscustomerid"] is None for row in rows)

    async def test_without_select_every_column_comes(self, api: Api) -> None:
        row = (await api.json(f"{PROFILES}?$top=1"))["value"][0]
        assert row.keys() >= {"msdynci_customerid", "msdynci_fullname", "createdon", "versionnumber", "ttlinseconds"}
        row = (await api.json(f"{MEMBERSHIPS}?$top=1"))["value"][0]
        assert row["msdynci_identifier"].startswith(f"{row['msdynci_customerid']}|{row['msdynci_segmentprovider']}|")

    async def test_rows_come_in_the_order_of_the_primary_key_each_once(self, api: Api) -> None:
        for entity_set, key in (
            (PROFILES, "msdynci_customerprofileid"),
            (MEMBERSHIPS, "msdynci_segmentmembershipid"),
        ):
            keys = [row[key] for row in await api.rows(f"{entity_set}?$select={key}", 97)]
            assert keys == sorted(set(keys))

    async def test_the_tables_order_has_nothing_to_do_with_each_other(self, api: Api) -> None:
        profiles = [row["msdynci_customerid"] for row in await api.rows(f"{PROFILES}?$select=msdynci_customerid")]
        place = {customer_id: index for index, customer_id in enumerate(profiles)}
        members = [row["msdynci_customerid"] for row in await api.rows(f"{MEMBERSHIPS}?$select=msdynci_customerid")]
        places = [place[customer_id] for customer_id in members if customer_id in place]
        rising = sum(a < b for a, b in pairwise(places))
        assert 0.2 < rising / len(places) < 0.8

    async def test_a_clients_request_id_comes_back(self, api: Api) -> None:
        answer = await api.get("WhoAmI", headers={"x-ms-client-request-id": "1c1b0d3e"})
        assert answer.headers["x-ms-client-request-id"] == "1c1b0d3e"
        assert GUID.fullmatch(answer.headers["x-ms-service-request-id"])
        assert (await api.look("requests"))["requests"][-1]["client_request_id"] == "1c1b0d3e"

    async def test_a_row_can_be_asked_for_by_its_key(self, api: Api) -> None:
        rows = (await api.json(f"{PROFILES}?$select=msdynci_email", "odata.maxpagesize=500"))["value"]
        row = rows[321]
        found = await api.json(f"{PROFILES}({row['msdynci_customerprofileid']})?$select=msdynci_email")
        assert {name: value for name, value in found.items() if name != "@odata.context"} == row
        missing = row["msdynci_customerprofileid"][:-4] + "ffff"
        assert error(await api.get(f"{PROFILES}({missing})")) == (404, "0x80040217")


class TestPaging:
    @pytest.mark.parametrize("size", [97, 600, 1_199, 1_200, 5_000])
    async def test_pages_have_the_size_asked_for_and_the_last_one_no_link(self, api: Api, size: int) -> None:
        pages = await api.pages(f"{PROFILES}?$select=msdynci_customerid", size)
        assert [len(page["value"]) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert sum(len(page["value"]) for page in pages) == N
        assert pages[-1]["value"]

    @pytest.mark.parametrize("cap", [500, 5_000])
    async def test_a_page_has_no_more_rows_than_the_cap(self, api: Api, cap: int) -> None:
        await api.assume(page_cap=cap)
        answer = await api.get(f"{PROFILES}?$select=msdynci_customerid", "odata.maxpagesize=100000")
        assert len(answer.json()["value"]) == min(cap, N)
        assert answer.headers["Preference-Applied"] == f"odata.maxpagesize={cap}"

    async def test_without_a_preference_a_page_is_as_long_as_it_may_be(self, api: Api) -> None:
        await api.assume(page_cap=500)
        answer = await api.get(f"{PROFILES}?$select=msdynci_customerid")
        assert len(answer.json()["value"]) == 500
        assert "Preference-Applied" not in answer.headers

    async def test_a_link_keeps_the_query_and_an_opaque_token(self, api: Api) -> None:
        page = await api.json(where(PROFILES, "msdynci_country eq 'DE'", "msdynci_email"), "odata.maxpagesize=5")
        options = parse_qs(urlsplit(page["@odata.nextLink"]).query)
        assert options["$select"] == ["msdynci_email"]
        assert options["$filter"] == ["msdynci_country eq 'DE'"]
        assert not re.search(r"\b5\b|page", options["$skiptoken"][0])

    async def test_links_lead_to_the_host_that_was_asked(self, api: Api) -> None:
        host = api.env["environment"].removeprefix("https://")
        answer = await api.get(PROFILES, "odata.maxpagesize=5", headers={"Host": host})
        assert answer.json()["@odata.nextLink"].startswith(f"https://{host}/api/data/v9.2/{PROFILES}?")

    async def test_a_link_may_be_followed_again_after_a_broken_answer(self, api: Api) -> None:
        link = (await api.json(f"{PROFILES}?$select=msdynci_email", "odata.maxpagesize=50"))["@odata.nextLink"]
        once, again = [await api.json(link, "odata.maxpagesize=50") for _ in range(2)]
        assert once["value"] == again["value"]

    async def test_a_changed_or_foreign_token_is_refused(self, api: Api) -> None:
        link = (await api.json(f"{PROFILES}?$select=msdynci_email", "odata.maxpagesize=5"))["@odata.nextLink"]
        token = link.partition("$skiptoken=")[2]
        wrong = [
            link.replace("msdynci_email", "msdynci_city"),
            link.replace(PROFILES, MEMBERSHIPS).replace("msdynci_email", "msdynci_customerid"),
            f"{link}&$count=true",
            link.replace(token, token[:-6] + "AAAAAA"),
            link.replace(token, "xyz"),
            link.replace(token, "ü"),
        ]
        for address in wrong:
            assert error(await api.get(address)) == (400, "0x80060888"), address

    async def test_a_link_is_refused_after_some_hours(self, api: Api) -> None:
        await api.assume(link_hours=2)
        link = (await api.json(f"{PROFILES}?$select=msdynci_email", "odata.maxpagesize=5"))["@odata.nextLink"]
        await api.control("clock", advance=1.9 * 3600)
        await api.use_app_token()
        assert (await api.get(link)).status_code == 200
        await api.control("clock", advance=0.2 * 3600)
        answer = await api.get(link)
        assert error(answer) == (400, "0x80060888")
        assert "expired" in answer.text

    async def test_a_filter_that_looks_at_many_rows_gives_empty_pages_with_links(self) -> None:
        async with running("--profiles", "26000", "--assume", "scan-rows=5000") as larger, fresh_api(larger) as api:
            pages = await api.pages(where(PROFILES, "msdynci_ecommerce_contacts_contactid eq 'C000025999'"))
            assert [len(page["value"]) for page in pages] == [0, 0, 0, 0, 0, 1]


class TestFilters:
    async def test_one_customers_rows(self, api: Api) -> None:
        members = await api.rows(f"{MEMBERSHIPS}?$select=msdynci_customerid,msdynci_segments")
        wanted = members[17]
        found = await api.rows_where(MEMBERSHIPS, f"msdynci_customerid eq '{wanted['msdynci_customerid']}'")
        assert wanted["msdynci_segmentmembershipid"] in {row["msdynci_segmentmembershipid"] for row in found}
        assert {row["msdynci_customerid"] for row in found} == {wanted["msdynci_customerid"]}

    async def test_four_hundred_customers_in_one_request(self, api: Api) -> None:
        everybody = await api.rows(f"{PROFILES}?$select=msdynci_email")
        ids = [row["msdynci_customerid"] for row in await api.rows(f"{PROFILES}?$select=msdynci_customerid")]
        asked = ids[::3]
        condition = " or ".join(f"msdynci_customerid eq '{customer_id}'" for customer_id in [*asked, "f" * 32])
        found = await api.rows_where(PROFILES, condition, "msdynci_email")
        assert len(asked) == 400
        assert found == everybody[::3]

    async def test_in_takes_a_list_in_place_or_as_a_parameter(self, api: Api) -> None:
        ids = [row["msdynci_customerid"] for row in await api.rows(f"{PROFILES}?$select=msdynci_customerid")][:3]
        quoted = ",".join(f"'{customer_id}'" for customer_id in ids)
        call = "Microsoft.Dynamics.CRM.In(PropertyName='msdynci_customerid',PropertyValues="
        for condition, parameter in (
            (f"{call}[{quoted}])", ""),
            (f"{call}@p1)", "&@p1=" + quote("[" + quoted.replace("'", '"') + "]")),
        ):
            path = f"{PROFILES}?$select=msdynci_customerid&$filter={quote(condition)}{parameter}"
            assert [row["msdynci_customerid"] for row in await api.rows(path)] == ids

    async def test_in_may_be_unsupported(self, api: Api) -> None:
        await api.assume(in_operator=False)
        call = "Microsoft.Dynamics.CRM.In(PropertyName='msdynci_customerid',PropertyValues=['a'])"
        assert (await api.get(f"{PROFILES}?$filter={quote(call)}")).status_code == 501

    async def test_and_narrows_or_widens(self, api: Api) -> None:
        rows = await api.rows(f"{PROFILES}?$select=msdynci_city,msdynci_loyaltypoints")
        expected = [r for r in rows if (r["msdynci_city"] in ("Wien", "Paris")) and r["msdynci_loyaltypoints"] > 9_000]
        condition = "(msdynci_city eq 'Wien' or msdynci_city eq 'Paris') and msdynci_loyaltypoints gt 9000"
        assert expected
        assert await api.rows_where(PROFILES, condition, "msdynci_city,msdynci_loyaltypoints") == expected

    async def test_contains_finds_every_row_with_the_name_and_some_without(self, api: Api) -> None:
        every = await api.rows(f"{MEMBERSHIPS}?$select=msdynci_segments")
        with_name = {r["msdynci_segmentmembershipid"] for r in every if '"VIP_2"' in (r["msdynci_segments"] or "")}
        found = await api.rows_where(MEMBERSHIPS, "contains(msdynci_segments,'vip_2')", "msdynci_segments")
        keys = {row["msdynci_segmentmembershipid"] for row in found}
        assert with_name < keys
        assert any('"VIPx2"' in row["msdynci_segments"] for row in found)  # `_` stands for any character
        await api.assume(wildcards=False)
        found = await api.rows_where(MEMBERSHIPS, "contains(msdynci_segments,'vip_2')")
        assert {row["msdynci_segmentmembershipid"] for row in found} == with_name

    @pytest.mark.parametrize("needle", ["VIP", '"VIP"', '\\"VIP\\"'])
    async def test_each_way_to_write_the_name_can_fail_to_find_anything(self, api: Api, needle: str) -> None:
        switches = {"VIP": "contains_bare", '"VIP"': "contains_quoted", '\\"VIP\\"': "contains_backslash"}
        condition = f"contains(msdynci_segments,'{needle}')"
        assert len(await api.rows_where(MEMBERSHIPS, condition)) > 50
        await api.assume(**{switches[needle]: False})
        assert await api.rows_where(MEMBERSHIPS, condition) == []
        others = [other for other in switches if other != needle]
        for other in others:
            assert await api.rows_where(MEMBERSHIPS, f"contains(msdynci_segments,'{other}')")

    async def test_contains_may_be_unsupported_or_time_out(self, api: Api) -> None:
        path = where(MEMBERSHIPS, "contains(msdynci_segments,'VIP')")
        await api.assume(contains="unsupported")
        assert (await api.get(path)).status_code == 501
        await api.assume(contains="times-out")
        assert error(await api.get(path)) == (500, "0x80044151")

    async def test_more_than_500_conditions_are_refused(self, api: Api) -> None:
        condition = " or ".join(["msdynci_city eq 'x'"] * 501)
        assert error(await api.get(f"{PROFILES}?$filter={quote(condition)}")) == (400, "0x8004430C")

    async def test_an_address_of_more_than_32768_characters_is_refused(self, api: Api) -> None:
        base = f"{api.root}{PROFILES}?$select=msdynci_customerid&$filter=msdynci_city eq '".replace(" ", "%20")
        fits = base + "x" * (32_768 - len(base) - 1) + "'"
        assert (await api.get(fits)).status_code == 200
        assert (await api.get(f"{fits[:-1]}x'")).status_code == 414


class TestOtherOptions:
    async def test_top_counts_unless_a_page_size_is_given(self, api: Api) -> None:
        page = await api.json(f"{PROFILES}?$select=msdynci_email&$top=3")
        assert len(page["value"]) == 3
        assert "@odata.nextLink" not in page
        page = await api.json(f"{PROFILES}?$select=msdynci_email&$top=3", "odata.maxpagesize=10")
        assert len(page["value"]) == 10
        assert "@odata.nextLink" in page

    async def test_counts_stop_at_500(self, api: Api) -> None:
        assert (await api.json(f"{PROFILES}?$select=msdynci_email&$count=true&$top=1"))["@odata.count"] == 500
        assert (await api.get(f"{PROFILES}/$count")).text == "500"
        condition = quote("msdynci_city eq 'Wien'")
        exact = len(await api.rows_where(PROFILES, "msdynci_city eq 'Wien'"))
        assert (await api.get(f"{PROFILES}/$count?$filter={condition}")).text == str(exact)
        await api.assume(count_cap=5_000)
        assert (await api.get(f"{PROFILES}/$count")).text == str(N)

    async def test_rows_can_be_ordered(self, api: Api) -> None:
        path = f"{PROFILES}?$select=msdynci_city,msdynci_loyaltypoints&$orderby=msdynci_city desc,msdynci_loyaltypoints"
        rows = await api.rows(path, 250)
        assert len(rows) == N
        for before, after in pairwise(rows):
            cities = before["msdynci_city"].lower(), after["msdynci_city"].lower()
            assert cities[0] >= cities[1]
            assert cities[0] > cities[1] or before["msdynci_loyaltypoints"] <= after["msdynci_loyaltypoints"]
        await api.assume(orderby=False)
        assert (await api.get(path)).status_code == 501

    async def test_total_record_count_is_an_old_figure_or_missing(self, api: Api) -> None:
        path = 'RetrieveTotalRecordCount(EntityNames=@p1)?@p1=["msdynci_customerprofile"]'
        await api.control("changes", op="delete-profiles", segment="Newsletter", count=10)
        collection = (await api.json(path))["EntityRecordCountCollection"]
        assert (collection["Keys"], collection["Values"]) == (["msdynci_customerprofile"], [N])
        await api.assume(record_count=False)
        assert (await api.get(path)).status_code == 501

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("$skip=10", 400),
            ("$top=0", 400),
            ("$top=many", 400),
            ("$count=yes", 400),
            ("$select=msdynci_nothing", 400),
            ("$filter=msdynci_nothing eq 'x'", 400),
            ("$filter=msdynci_city eq", 400),
            ("$filter=msdynci_city eq 5", 400),
            ("$orderby=msdynci_nothing", 400),
            ("$select=msdynci_city&$select=msdynci_email", 400),
            ("$nonsense=1", 400),
            ("nonsense=1", 400),
            ("$expand=msdynci_lookupfield_customer", 501),
            ("$filter=length(msdynci_city) gt 5", 501),
        ],
    )
    async def test_what_is_not_supported_is_refused(self, api: Api, query: str, status: int) -> None:
        answer = await api.get(f"{PROFILES}?{query}")
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message"}

    async def test_change_tracking_is_not_enabled(self, api: Api) -> None:
        answer = await api.get(f"{PROFILES}?$select=msdynci_email", "odata.track-changes")
        assert error(answer) == (400, "0x80060888")


class TestRefusals:
    @pytest.mark.parametrize("code", ["0x80060888", "0x0"])
    async def test_an_unknown_column_is_named(self, api: Api, code: str) -> None:
        await api.assume(unknown_column_code=code)
        answer = await api.get(f"{PROFILES}?$select=msdynci_customerid,msdynci_gone")
        assert error(answer) == (400, code)
        assert "Could not find a property named 'msdynci_gone'" in answer.text

    async def test_a_missing_role_is_named_by_its_privilege(self, api: Api) -> None:
        await api.control("principals", name="app", role=False)
        for entity_set, privilege in (
            (PROFILES, "prvReadmsdynci_customerprofile"),
            (MEMBERSHIPS, "prvReadmsdynci_segmentmembership"),
        ):
            answer = await api.get(f"{entity_set}?$top=1")
            assert error(answer) == (403, "0x80040220")
            assert f"is missing {privilege} privilege" in answer.text

    async def test_a_role_may_cover_one_table_only(self, api: Api) -> None:
        await api.control("principals", name="app", readable=["msdynci_segmentmembership"])
        assert (await api.get(f"{MEMBERSHIPS}?$top=1")).status_code == 200
        assert (await api.get(f"{PROFILES}?$top=1")).status_code == 403

    async def test_without_data_sharing_the_tables_are_not_there(self, api: Api) -> None:
        await api.control("changes", op="share-data", on=False)
        answer = await api.get(f"{PROFILES}?$top=1")
        assert error(answer) == (404, "0x8006088a")
        assert f"Resource not found for the segment '{PROFILES}'" in answer.text
        assert (await api.get("EntityDefinitions(LogicalName='msdynci_customerprofile')")).status_code == 404
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_names_of_entity_sets_are_case_sensitive(self, api: Api) -> None:
        for wrong in ("msdynci_CustomerProfiles", "msdynci_customerprofile", "accounts"):
            assert error(await api.get(wrong)) == (404, "0x8006088a")

    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
    async def test_writes_are_refused_and_counted(self, api: Api, method: str) -> None:
        await api.use_app_token()
        headers = {"Authorization": f"Bearer {api.token}"}
        answer = await api.http.request(method, f"{api.root}{PROFILES}", json={}, headers=headers)
        assert error(answer) == (403, "0x80040220")
        assert (await api.look("stats"))["writes_refused"] == 1


class TestDefinitions:
    async def test_the_tables_say_what_they_are(self, api: Api) -> None:
        path = "EntityDefinitions(LogicalName='msdynci_customerprofile')"
        select = "?$select=LogicalName,EntitySetName,TableType,ChangeTrackingEnabled"
        definition = await api.json(path + select)
        assert definition["EntitySetName"] == PROFILES
        assert definition["TableType"] == "Elastic"
        assert definition["ChangeTrackingEnabled"] is False
        await api.assume(table_type="Virtual")
        assert (await api.json(path + select))["TableType"] == "Virtual"

    async def test_columns_have_types_and_mostly_labels(self, api: Api) -> None:
        path = "EntityDefinitions(LogicalName='msdynci_customerprofile')/Attributes"
        value = (await api.json(f"{path}?$select=LogicalName,AttributeType,DisplayName"))["value"]
        by_name = {attribute["LogicalName"]: attribute for attribute in value}
        assert by_name["msdynci_email"]["AttributeType"] == "String"
        assert by_name["msdynci_email"]["DisplayName"]["UserLocalizedLabel"]["Label"] == "EMail"
        assert by_name["msdynci_birthdate"]["AttributeType"] == "DateTime"
        assert by_name["msdynci_notes"]["AttributeType"] == "Memo"
        assert by_name["msdynci_language"]["DisplayName"]["UserLocalizedLabel"] is None
        assert by_name.keys() >= {"createdon", "versionnumber", "partitionid", "ownerid"}

    async def test_every_readable_column_can_be_selected(self, api: Api) -> None:
        for logical_name, entity_set in (
            ("msdynci_customerprofile", PROFILES),
            ("msdynci_segmentmembership", MEMBERSHIPS),
        ):
            value = (await api.json(f"EntityDefinitions(LogicalName='{logical_name}')/Attributes"))["value"]
            lookups = ("Lookup", "Owner")
            names = [f"_{a['LogicalName']}_value" if a["AttributeType"] in lookups else a["LogicalName"] for a in value]
            row = (await api.json(f"{entity_set}?$select={','.join(names)}&$top=1"))["value"][0]
            assert row.keys() == {"@odata.etag", *names}

    async def test_definitions_can_be_filtered_as_microsofts_client_does(self, api: Api) -> None:
        condition = quote("LogicalName eq 'msdynci_segmentmembership'")
        select = "LogicalName,EntitySetName,PrimaryIdAttribute"
        found = (await api.json(f"EntityDefinitions?$select={select}&$filter={condition}"))["value"]
        assert [definition["PrimaryIdAttribute"] for definition in found] == ["msdynci_segmentmembershipid"]

    async def test_an_unknown_table_is_not_found(self, api: Api) -> None:
        assert (await api.get("EntityDefinitions(LogicalName='msdynci_nothing')")).status_code == 404


class TestSegmentMetadata:
    path = (
        "mscipriv_segmentmetadatas?$select=msdyn_name,mscipriv_payload1,statecode,msdyn_isdeleted,msdyn_ishistoryentry"
    )

    async def test_it_lists_segments_with_their_history(self, api: Api) -> None:
        rows = (await api.json(self.path))["value"]
        current = [row for row in rows if not row["msdyn_ishistoryentry"]]
        assert {row["msdyn_name"] for row in current} == set(api.env["segments"])
        assert any(row["msdyn_ishistoryentry"] for row in rows)
        assert {row["msdyn_name"] for row in current if row["statecode"] == 1} == {"Summer_2024"}
        assert any("Very important people" in row["mscipriv_payload1"] for row in current)

    async def test_it_pages_like_any_table(self, api: Api) -> None:
        assert await api.rows(self.path, 3) == (await api.json(self.path))["value"]

    async def test_deleted_and_deactivated_segments_are_marked(self, api: Api) -> None:
        await api.control("changes", op="delete-segment", segment="VIP")
        await api.control("changes", op="deactivate-segment", segment="Newsletter")
        rows = {r["msdyn_name"]: r for r in (await api.json(self.path))["value"] if not r["msdyn_ishistoryentry"]}
        assert rows["VIP"]["msdyn_isdeleted"] is True
        assert rows["Newsletter"]["statecode"] == 1

    @pytest.mark.parametrize(("payload", "starts"), [("unknown", '{"v":3'), ("broken", '{"friendlyName": ')])
    async def test_its_payload_may_be_of_any_form(self, api: Api, payload: str, starts: str) -> None:
        await api.assume(metadata_payload=payload)
        assert all(row["mscipriv_payload1"].startswith(starts) for row in (await api.json(self.path))["value"])

    async def test_it_may_be_missing(self, api: Api) -> None:
        await api.assume(metadata_table=False)
        assert (await api.get(self.path)).status_code == 404
