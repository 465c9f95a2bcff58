from __future__ import annotations

from tests.simulation.behaviour import Behaviour, Conditions, ListFault, ListShape
from tests.simulation.exchange import Request
from tests.simulation.scene import (
    PHASES,
    create,
    get,
    request_line,
    request_lines,
    submit,
    upload,
    wait,
    world_of,
)


def test_lists_are_paged_newest_first() -> None:
    world = world_of()
    created = [submit(world, request_line(f"r{number}")) for number in range(7)][::-1]
    seen: list[str] = []
    query = {"limit": "3"}
    sizes = []
    while True:
        page = get(world, "/batches", **query)
        seen += [entry["id"] for entry in page["data"]]
        sizes.append(len(page["data"]))
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], seen[-1])
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    assert (seen, sizes) == (created, [3, 3, 1])
    assert get(world, "/batches", limit="7")["has_more"] is False
    for query in ({"limit": "101"}, {"limit": "0"}, {"limit": "x"}, {"after": "batch_unknown"}):
        assert world.handle(Request.json("GET", "/batches", **query)).status == 400


def test_files_are_listed_by_purpose_and_order() -> None:
    world = world_of()
    submit(world, request_lines(1))
    wait(world, 5)
    second = upload(world, request_lines(1))
    first, output = (file.id for file in world.files() if file.id != second)
    ids = [entry["id"] for entry in get(world, "/files", order="asc")["data"]]
    assert ids == [first, output, second]
    assert [entry["id"] for entry in get(world, "/files", purpose="batch")["data"]] == [
        second,
        first,
    ]
    page = get(world, "/files", limit="1")
    assert [entry["id"] for entry in get(world, "/files", after=page["last_id"])["data"]] == [
        output,
        first,
    ]
    assert world.handle(Request.json("DELETE", f"/files/{output}")).document()["deleted"] is True
    assert [e["id"] for e in get(world, "/files", after=output)["data"]] == [first]
    assert world.handle(Request.json("GET", f"/files/{output}/content")).status == 404
    world.conditions = Conditions(list_parameters=False)
    assert world.handle(Request.json("GET", "/files", limit="1")).status == 400
    assert world.handle(Request.json("GET", "/files")).status == 200


def test_the_lists_lag_and_are_stale() -> None:
    world = world_of(PHASES, conditions=Conditions(list_lag=30, list_stale=60))
    batch = submit(world, request_lines(1))
    wait(world, 29)
    assert get(world, "/batches")["data"] == []
    assert get(world, "/files")["data"] == []
    wait(world, 1)
    assert [entry["status"] for entry in get(world, "/batches")["data"]] == ["validating"]
    assert get(world, f"/batches/{batch}")["status"] == "in_progress"
    wait(world, 200)
    assert get(world, "/batches")["data"][0]["status"] == "completed"


def test_lists_can_be_of_any_dialect() -> None:
    world = world_of(conditions=Conditions(list_shape=ListShape.BARE, oldest_first=True))
    ids = [submit(world, request_line(name)) for name in "ab"]
    assert [entry["id"] for entry in get(world, "/batches")] == ids
    assert [e["id"] for e in get(world, "/batches", after=ids[0])] == ids[1:]
    world.conditions = Conditions(list_shape=ListShape.NO_IDS)
    assert set(get(world, "/batches")) == {"object", "data", "has_more"}
    world.conditions = Conditions(list_missing=405)
    assert world.handle(Request.json("GET", "/batches")).status == 405
    assert world.handle(Request.json("GET", f"/batches/{ids[0]}")).status == 200


def test_lists_can_lead_astray() -> None:
    world = world_of()
    ids = [submit(world, request_line(name)) for name in "abc"][::-1]

    def pages(fault: ListFault) -> list[tuple[list[str], bool]]:
        world.conditions = Conditions(list_fault=fault)
        first = get(world, "/batches", limit="2")
        second = get(world, "/batches", limit="2", after=ids[1])
        third = get(world, "/batches", limit="2", after=ids[2])
        return [
            ([entry["id"] for entry in page["data"]], page["has_more"])
            for page in (first, second, third)
        ]

    assert pages(ListFault.REPEATED) == [(ids[:2], True)] * 3
    assert pages(ListFault.ENDLESS) == [(ids[:2], True), (ids[2:], True), ([], True)]
    assert pages(ListFault.HOLE) == [(ids[:2], True), ([], True), ([], True)]


def test_a_new_file_is_not_seen_everywhere_at_once() -> None:
    world = world_of(conditions=Conditions(create_blind=10, file_blind=5))
    file = upload(world, request_lines(1))
    assert world.handle(Request.json("GET", f"/files/{file}")).status == 404
    error = create(world, file).document()["error"]
    assert error["message"].startswith(f"Cannot find file {file}, or organization")
    wait(world, 5)
    assert get(world, f"/files/{file}")["bytes"] == len(request_lines(1))
    assert create(world, file).status == 400
    wait(world, 5)
    assert create(world, file).status == 200


def test_a_new_batch_is_not_seen_everywhere_at_once() -> None:
    world = world_of(conditions=Conditions(batch_blind=10))
    path = f"/batches/{submit(world, request_lines(1))}"
    assert world.handle(Request.json("GET", path)).status == 404
    assert len(get(world, "/batches")["data"]) == 1
    wait(world, 10)
    assert world.handle(Request.json("GET", path)).status == 200


def test_result_files_can_come_late() -> None:
    world = world_of(Behaviour(files_after=30, content_after=10))
    path = f"/batches/{submit(world, request_lines(1))}"
    batch = get(world, path)
    assert (batch["status"], batch["output_file_id"]) == ("completed", None)
    wait(world, 30)
    output = get(world, path)["output_file_id"]
    assert get(world, f"/files/{output}")["purpose"] == "batch_output"
    assert world.handle(Request.json("GET", f"/files/{output}/content")).status == 404
    wait(world, 10)
    assert world.handle(Request.json("GET", f"/files/{output}/content")).status == 200


def test_files_expire() -> None:
    world = world_of()
    kept = submit(world, request_lines(1))
    hour = {"anchor": "created_at", "seconds": 3600}
    short = create(world, upload(world, request_lines(1)), output_expires_after=hour).document()[
        "id"
    ]
    files = [get(world, f"/batches/{name}")["output_file_id"] for name in (kept, short)]

    def there() -> list[int]:
        return [
            world.handle(Request.json("GET", f"/files/{file}/content")).status for file in files
        ]

    assert there() == [200, 200]
    wait(world, 3600)
    assert there() == [200, 404]
    wait(world, 30 * 86400)
    assert there() == [404, 404]
    assert create(world, world.files()[0].id).status == 400
