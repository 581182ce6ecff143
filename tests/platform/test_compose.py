"""docker-compose.yml and Dockerfile, held against the Compose schema and run here without Docker.

The file's services are started as it says: its commands, with nothing but its environment, its paths below a temporary
folder in place of the container's root, its host names as 127.0.0.1, its ports moved to free ones. The embedded Postgres
stands in for the image of Postgres. Then the file's own health checks must pass, and each variable, path and port must be
seen to have its effect.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
import yaml
from jsonschema.validators import validator_for

from resources.embedded_postgres import EmbeddedPostgres, programs

REPOSITORY = Path(__file__).resolve().parents[2]
PASSWORD = "abc123"
LAKE = {"lake": {"start_date": "2026-01-01"}, "tenants": {"composed": {"sources": {}}}}
PROGRAMS = ("dagster", "dagster-webserver", "dagster-daemon", "lake", "python")
SILVER = '{groupName: "silver", repositoryName: "__repository__", repositoryLocationName: "revlake"}'
STARTED_HERE = {"code-location", "webserver", "daemon", "api"}
START_SECONDS = 300


@cache
def _compose() -> dict[str, Any]:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    text = re.sub(r"\$\{REVLAKE_POSTGRES_PASSWORD:\?[^}]+\}", PASSWORD, text)
    assert "${" not in text, "a variable that this test does not know"
    return yaml.safe_load(text)


def _services() -> dict[str, dict[str, Any]]:
    return _compose()["services"]


@cache
def _dockerfile() -> list[list[str]]:
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_file_fits_the_compose_specification() -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    validator = validator_for(schema)(schema)
    validator.validate(_compose())
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"services": {"a": {"imagee": "b"}}})


def test_every_service_has_limits_a_health_check_and_a_restart_policy_and_runs_in_order() -> None:
    services = _services()
    assert set(services) == {"postgres", *STARTED_HERE}
    for name, service in services.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in services[other]
            assert how == {"condition": "service_healthy"}


def test_no_port_is_open_to_the_network_and_no_secret_stands_in_the_file() -> None:
    ports = [port for service in _services().values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "PASSWORD: ${" in (REPOSITORY / "docker-compose.yml").read_text()
    with_env_file = [name for name, service in _services().items() if "env_file" in service]
    assert with_env_file == ["code-location", "api"]


def test_every_volume_and_config_is_declared_and_used() -> None:
    used = {
        v.split(":")[0] for service in _services().values() for v in service.get("volumes", []) if not v.startswith(".")
    }
    assert used == set(_compose()["volumes"])
    assert {c["source"] for service in _services().values() for c in service.get("configs", [])} == set(
        _compose()["configs"]
    )


def test_the_dockerfile_copies_what_exists_and_all_of_our_packages() -> None:
    sources = [
        word for line in _dockerfile() if line[0] == "COPY" and "--from=build" not in line for word in line[1:-1]
    ]
    sources = [source for source in sources if not source.startswith("--")]
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    packages = re.findall(r'"(\w+)"', pyproject.split("wheel]\npackages = [")[1].split("]")[0])
    assert set(packages) <= {source.split("/")[0] for source in sources}
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)


def test_the_image_runs_as_an_ordinary_user_who_owns_the_paths_that_are_written() -> None:
    lines = [" ".join(line) for line in _dockerfile()]
    assert "USER lake" in lines
    owned = next(line for line in lines if "chown -R lake:lake /lake" in line)
    volumes = [v.split(":") for name, s in _services().items() if name != "postgres" for v in s.get("volumes", [])]
    for source, target, *_ in volumes:
        assert source.startswith("./") or target in owned
    assert any(line.endswith("lake.yaml /lake/lake.yaml") for line in lines)


@dataclass
class Composed:
    """The services as started here."""

    root: Path
    ports: dict[str, int]
    database: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """What the file says, for this machine."""
        text = re.sub(r"(?<![\w.])/lake\b", str(self.root / "lake"), text.replace("0.0.0.0", "127.0.0.1"))
        text = re.sub(r"(?<=[@ ])(postgres|code-location)\b(?=[:\n])", "127.0.0.1", text)
        return re.sub(r"(?<!\d)(3000|4000|5432|8000)(?!\d)", lambda port: str(self.ports[port.group()]), text)

    def command(self, words: list[str]) -> list[str]:
        """The service's command; the programs are those of this interpreter's environment."""
        program, *arguments = map(self.here, words)
        assert program in PROGRAMS
        return [sys.executable if program == "python" else str(Path(sys.executable).parent / program), *arguments]

    def environment(self, service: str) -> dict[str, str]:
        """What the container would have: the file's variables, the Dockerfile's, and our packages installed."""
        image = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", "PYTHONUNBUFFERED": "1"}
        stated = {name: self.here(value) for name, value in _services()[service]["environment"].items()}
        return {**image, "PYTHONPATH": str(REPOSITORY), "HOME": str(self.root), **stated}

    def start(self, service: str) -> None:
        """Start the service."""
        with (self.root / f"{service}.log").open("wb") as output:
            self.processes[service] = subprocess.Popen(
                self.command(_services()[service]["command"]),
                env=self.environment(service),
                cwd=self.root / "lake",
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self, service: str) -> None:
        """Until the health check that the file gives the service passes."""
        deadline = time.monotonic() + START_SECONDS
        while (check := self.check(service)).returncode != 0:
            assert self.processes[service].poll() is None, self.logs()
            assert time.monotonic() < deadline, f"{service} is not healthy: {check.stdout}\n{self.logs()}"
            time.sleep(0.5)

    def check(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run the service's health check once."""
        words = self.command(_services()[service]["healthcheck"]["test"][1:])
        return subprocess.run(
            words,
            env=self.environment(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def stop(self) -> dict[str, int]:
        """End all as `docker stop` does: told first, killed after a minute; returns the exit codes."""
        for process in reversed(self.processes.values()):
            process.terminate()
        deadline = time.monotonic() + 60
        for process in self.processes.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        return {name: process.wait(timeout=30) for name, process in self.processes.items()}

    def logs(self) -> str:
        """The end of what each service said."""
        return "\n".join(f"== {log.stem}\n{log.read_text()[-3000:]}" for log in sorted(self.root.glob("*.log")))

    def ask(self, query: str) -> dict[str, Any]:
        """Dagster's answer to a GraphQL query, over the webserver's published port."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['3000']}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = json.load(answer)
        assert "errors" not in body, body["errors"]
        return body["data"]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    with tempfile.TemporaryDirectory(prefix="revlake-test-") as folder:
        yield from _composed(Path(folder).resolve())


def _composed(root: Path) -> Iterator[Composed]:
    ports: dict[str, int] = dict(zip(("3000", "4000", "5432", "8000"), _free_ports(4), strict=True))
    server = _services()["postgres"]["environment"]
    with EmbeddedPostgres(root / "postgres", listen_port=ports["5432"]).running() as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                f"CREATE ROLE {server['POSTGRES_USER']} LOGIN PASSWORD '{server['POSTGRES_PASSWORD']}'".encode()
            )
            admin.execute(f"ALTER DATABASE {server['POSTGRES_DB']} OWNER TO {server['POSTGRES_USER']}".encode())
        lake = Composed(root, ports, url)
        (root / "lake" / "data-lake").mkdir(parents=True)
        (root / "lake" / "dagster_home" / "storage").mkdir(parents=True)
        shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", root / "lake" / "dagster_home")
        (root / "lake" / "lake.yaml").write_text(yaml.safe_dump(LAKE))
        for name, config in _compose()["configs"].items():
            targets = {c["target"] for s in _services().values() for c in s.get("configs", []) if c["source"] == name}
            for target in targets:
                Path(lake.here(target)).write_text(lake.here(config["content"]))
        try:
            for service in STARTED_HERE:
                assert lake.check(service).returncode != 0, f"the health check of {service} passes before it runs"
            for services in (["code-location"], ["webserver", "daemon", "api"]):
                for service in services:
                    lake.start(service)
                for service in services:
                    lake.wait(service)
            yield lake
        finally:
            lake.stop()


def test_the_health_check_of_postgres_passes_against_a_server_and_fails_without(composed: Composed) -> None:
    program, *arguments = _services()["postgres"]["healthcheck"]["test"][1:]
    command = [str(programs() / program), *map(composed.here, arguments)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    elsewhere = [re.sub(r"--port=\d+", f"--port={_free_ports(1)[0]}", argument) for argument in command]
    assert subprocess.run(elsewhere, check=False, capture_output=True).returncode == 2


def test_the_webserver_shows_the_code_location_with_the_mounted_configuration(composed: Composed) -> None:
    entries = composed.ask(
        """{ workspaceOrError { ... on Workspace { locationEntries {
            name loadStatus locationOrLoadError {
                ... on PythonError { message }
                ... on RepositoryLocation { repositories { assetGroups { groupName } } }
            }
        } } } }"""
    )["workspaceOrError"]["locationEntries"]
    assert [(entry["name"], entry["loadStatus"]) for entry in entries] == [("revlake", "LOADED")]
    location = entries[0]["locationOrLoadError"]
    assert "message" not in location, location["message"]
    groups = location["repositories"][0]["assetGroups"]
    assert {"bronze_odoo", "silver", "gold"} <= {group["groupName"] for group in groups}
    query = f"{{ assetNodes(group: {SILVER}) {{ partitionKeysByDimension {{ name partitionKeys }} }} }}"
    keys = composed.ask(query)["assetNodes"]
    dimensions = {dimension["name"]: dimension["partitionKeys"] for dimension in keys[0]["partitionKeysByDimension"]}
    assert dimensions["tenant"] == ["composed"]


def test_the_api_takes_nothing_for_a_source_that_is_not_configured(composed: Composed) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{composed.ports['8000']}/ingest/composed/zendesk", b"{}")
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request, timeout=10)
    assert answer.value.code == 404


def test_the_settings_of_the_instance_are_those_of_the_image(composed: Composed) -> None:
    info = yaml.safe_load(composed.ask("{ instance { info } }")["instance"]["info"])
    assert info["event_log_storage"] == "PostgresEventLogStorage"
    assert info["local_artifact_storage"]["config"]["base_dir"] == str(composed.root / "lake" / "dagster_home")
    assert info["telemetry"] == {"enabled": False}
    assert PASSWORD not in json.dumps(info)


def test_a_run_goes_from_the_webserver_through_the_daemon_to_the_code_location_and_its_log_comes_back(
    composed: Composed,
) -> None:
    asset = composed.ask(f"{{ assetNodes(group: {SILVER}) {{ assetKey {{ path }} jobNames }} }}")["assetNodes"][0]
    job = next(name for name in asset["jobNames"] if name.startswith("__ASSET_JOB"))
    where = f'repositoryName: "__repository__", repositoryLocationName: "revlake", jobName: "{job}"'
    tags = {
        "dagster/partition": "2026-01-01|composed",
        "dagster/partition/date": "2026-01-01",
        "dagster/partition/tenant": "composed",
    }
    listed = ", ".join(f'{{key: "{key}", value: "{value}"}}' for key, value in tags.items())
    launched = composed.ask(
        f"""mutation {{ launchPipelineExecution(executionParams: {{
            selector: {{ {where}, assetSelection: [{{path: {json.dumps(asset["assetKey"]["path"])}}}] }},
            executionMetadata: {{ tags: [{listed}] }}
        }}) {{ ... on LaunchRunSuccess {{ run {{ runId }} }} ... on PythonError {{ message }} }} }}"""
    )["launchPipelineExecution"]
    assert "run" in launched, launched
    run = launched["run"]["runId"]
    deadline = time.monotonic() + START_SECONDS
    while (
        status := composed.ask(f'{{ runOrError(runId: "{run}") {{ ... on Run {{ status }} }} }}')["runOrError"][
            "status"
        ]
    ) not in (
        "SUCCESS",
        "FAILURE",
    ):
        assert time.monotonic() < deadline, f"{status}\n" + composed.logs()
        time.sleep(0.5)
    assert status == "SUCCESS", composed.logs()
    logs = {composed.here(v.split(":")[1]) for v in _services()["webserver"]["volumes"] if v.startswith("logs:")}
    assert {v for v in _services()["code-location"]["volumes"] if v.startswith("logs:")} == set(
        _services()["webserver"]["volumes"]
    )
    assert [log for place in logs for log in Path(place).rglob(f"{run}/compute_logs/*.out*")]


def test_the_daemon_runs_schedules_sensors_queue_and_retries(composed: Composed) -> None:
    statuses = composed.ask("{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }")
    required = {
        s["daemonType"]: s["healthy"]
        for s in statuses["instance"]["daemonHealth"]["allDaemonStatuses"]
        if s["required"]
    }
    assert {"SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR", "MONITORING", "EVENT_LOG_CONSUMER"} <= set(required)
    assert all(required.values()), required


def test_what_dagster_keeps_is_in_postgres_and_not_beside_it(composed: Composed) -> None:
    with psycopg.connect(composed.database) as connection:
        beats = connection.execute("SELECT count(*) FROM daemon_heartbeats").fetchone()
    assert beats is not None
    assert beats[0] > 0
    assert list((composed.root / "lake" / "dagster_home").rglob("*.db")) == []


def test_all_services_stop_when_told(composed: Composed) -> None:
    codes = composed.stop()
    assert set(codes) == STARTED_HERE
    # On a busy machine Dagster's code server was once seen to need the kill; it keeps nothing that could be lost.
    willing = {name: code for name, code in codes.items() if (name, code) != ("code-location", -9)}
    assert all(code in (0, -15, 143) for code in willing.values()), codes
