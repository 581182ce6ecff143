"""Webhooks over real HTTP into a real Postgres, and from there into bronze by the sensor's runs."""

import json
from typing import Any

import psycopg
import pytest
import requests
from dagster import DagsterInstance, RunRequest, SkipReason, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorDefinition
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus

from lake_assets.automation.runs import SYNC_JOB, TENANT_TAG
from lake_assets.automation.webhooks import webhook_sensor
from lake_assets.definitions import build_defs
from resources import ingest_queue
from resources.connectors.base import Change
from resources.dagster_lake import lake_resource
from tests.serving.conftest import SECRET, Served


def post(served: Served, message: Any, path: str = "skyfit/pipedrive", password: str = SECRET) -> requests.Response:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return requests.post(f"{served.url}/ingest/{path}", data=body, auth=("revlake", password), timeout=20)


def about(record_id: int, entity: str = "deal", action: str = "change") -> dict[str, Any]:
    return {"meta": {"version": "2.0", "action": action, "entity": entity, "entity_id": str(record_id)}, "data": {}}


class Ticks:
    """Evaluations of the sensor, and runs of what it asks for."""

    def __init__(self, served: Served) -> None:
        self.served, self.instance = served, DagsterInstance.ephemeral()
        self.cursor: str | None = None

    def tick(self) -> list[RunRequest]:
        definition = webhook_sensor(self.served.lake.settings)
        assert isinstance(definition, SensorDefinition)
        resources = {"lake": lake_resource(self.served.lake.settings)}
        with build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            found: list[Any] = list(definition(context))  # type: ignore[call-overload]
            self.cursor = context.cursor
        assert all(isinstance(entry, RunRequest | SkipReason) for entry in found)
        return [entry for entry in found if isinstance(entry, RunRequest)]

    def run(self, request: RunRequest) -> bool:
        job = build_defs(self.served.lake.settings).resolve_job_def(SYNC_JOB)
        subset = job.get_subset(
            asset_selection=set(request.asset_selection or ()),
            asset_check_selection=set(request.asset_check_keys or ()),
        )
        result = subset.execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            raise_on_error=False,
        )
        return result.success


def test_what_a_webhook_told_of_is_in_bronze_after_one_run(served: Served) -> None:
    served.lake.capture("deals", "persons", source="pipedrive")
    deals = served.sandbox.records("pipedrive", "skyfit", "deals")
    changed, deleted, untold = [deal["id"] for deal in deals if deal["status"] == "open" and not deal["is_archived"]][
        :3
    ]
    served.sandbox.change(
        "pipedrive",
        "skyfit",
        "deals",
        put=[{"id": changed, "title": "told"}, {"id": untold, "title": "not told"}],
        delete=[deleted],
    )
    for message in (about(changed), about(changed), about(deleted, action="delete"), about(3, "note")):
        answer = post(served, message)
        assert answer.status_code == 202, answer.text
    assert [entry[:2] for entry in served.queue()] == [("deals", str(number)) for number in (changed, changed, deleted)]
    ticks = Ticks(served)
    [request] = ticks.tick()
    assert ticks.run(request)
    titles = dict(served.lake.query("SELECT id, title FROM raw.pipedrive_deals"))
    assert titles[changed] == "told"
    assert titles[untold] != "not told"
    assert deleted not in titles
    assert all(done for _, _, done in served.queue())
    assert ticks.tick() == []
    # The watermark did not move: the next sync finds what no webhook told of.
    served.lake.capture("deals", source="pipedrive")
    assert dict(served.lake.query("SELECT id, title FROM raw.pipedrive_deals"))[untold] == "not told"


def test_only_who_knows_the_secret_is_believed(served: Served) -> None:
    answer = post(served, about(1), password="guess")
    assert (answer.status_code, answer.json()) == (401, {"error": "the token is missing or wrong"})
    assert requests.post(f"{served.url}/ingest/skyfit/pipedrive", json=about(1), timeout=20).status_code == 401


def test_an_empty_secret_lets_nobody_in(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "")
    answer = requests.post(f"{served.url}/ingest/skyfit/empty", json=about(1), timeout=20)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize("path", ["nobody/pipedrive", "skyfit/nothing", "skyfit/quiet", "gone/pipedrive"])
def test_a_source_that_takes_no_webhooks_is_not_there(served: Served, path: str) -> None:
    assert post(served, about(1), path).status_code == 404


def test_what_cannot_be_understood_or_is_too_much_is_refused(served: Served) -> None:
    assert post(served, b"nonsense").status_code == 400
    assert post(served, b" " * 2_000_000).status_code == 413
    assert requests.get(f"{served.url}/ingest/skyfit/pipedrive", timeout=20).status_code == 405


def test_a_batch_is_asked_for_once_until_it_is_read_and_later_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lake_assets.automation.webhooks as module

    post(served, about(1))
    ticks = Ticks(served)
    [first] = ticks.tick()
    assert ticks.tick() == []
    post(served, about(2))
    [more] = ticks.tick()
    assert more.run_config["ops"]["bronze_pipedrive"]["config"]["ids"] == {"deals": ["1", "2"]}
    monkeypatch.setattr(module, "FIRST_WAIT", -1)
    [again] = ticks.tick()
    assert len({first.run_key, more.run_key, again.run_key}) == 3


def test_a_tenant_whose_sync_is_under_way_is_left_alone(served: Served) -> None:
    post(served, about(1))
    ticks = Ticks(served)
    ticks.instance.add_run(DagsterRun(SYNC_JOB, status=DagsterRunStatus.STARTED, tags={TENANT_TAG: "skyfit"}))
    assert ticks.tick() == []


def test_news_of_a_table_that_is_not_read_waits_for_nobody(served: Served) -> None:
    post(served, about(4, "organization"))
    assert Ticks(served).tick() == []
    assert served.queue() == [("organizations", "4", True)]


def test_the_server_answers_again_after_postgres_dropped_its_connection(served: Served) -> None:
    assert post(served, about(1)).status_code == 202
    with psycopg.connect(served.postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'revlake ingest'"
        )
    assert post(served, about(2)).status_code == 202
    assert len(served.queue()) == 2


def test_one_sources_backlog_stands_in_nobodys_way(served: Served) -> None:
    with psycopg.connect(served.postgres_url) as connection:
        ingest_queue.prepare(connection)
        ingest_queue.put(connection, "skyfit", "pipedrive", [Change("deals", str(number)) for number in range(30)])
        ingest_queue.put(connection, "skyfit", "second", [Change("deals", "1")])
        found = {batch.source: batch for batch in ingest_queue.waiting(connection, limit=10)}
        assert [len(found["pipedrive"].ids["deals"]), found["second"].ids] == [10, {"deals": ["1"]}]
    ticks = Ticks(served)
    asked = [
        request.run_config["ops"]["bronze_pipedrive"]["config"]["source"] for _ in range(2) for request in ticks.tick()
    ]
    assert asked == ["pipedrive", "second"]


def test_what_no_run_could_read_is_set_aside_in_the_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    import lake_assets.automation.webhooks as module

    monkeypatch.setattr(module, "FIRST_WAIT", -1)
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 3)
    post(served, about(1))
    ticks = Ticks(served)
    keys = [request.run_key for _ in range(3) for request in ticks.tick()]
    assert len(set(keys)) == 3
    assert ticks.tick() == []
    assert served.queue() == [("deals", "1", True)]


def test_a_message_that_is_committed_late_is_not_taken_for_read(served: Served) -> None:
    with psycopg.connect(served.postgres_url) as connection:
        ingest_queue.prepare(connection)
        ingest_queue.put(connection, "skyfit", "pipedrive", [Change("deals", "1"), Change("deals", "2")])
        ingest_queue.done(connection, "skyfit", "pipedrive", "deals", ["2"], 2, "run")
    assert served.queue() == [("deals", "1", False), ("deals", "2", True)]
