"""The shared HTTP client against a real server that misbehaves."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resources.connectors.base import PermanentError, TransientError
from resources.http import HttpClient, Response, RetryPolicy, SlowAnswer, Usage
from resources.http_session import TryAgain, http_date, retry_after
from tests.connectors.scripted_server import Answer, ScriptedServer, serving

PASSWORD = "hunter2-secret"


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client(**options: Any) -> HttpClient:
    """A client that does not really wait between tries."""
    return HttpClient("northwind", "odoo", **{"sleep": lambda _: None, **options})


def body(response: Response) -> bytes:
    response.raise_for_status()
    return response.body


def ask(http: HttpClient, server: ScriptedServer, **options: Any) -> bytes:
    return http.fetch("POST", server.url + "/prefix/jsonrpc", parse=body, json={"password": PASSWORD}, **options)


PASSING = {
    "reset": Answer(reset=True),
    "cut body": Answer(body=b"x" * 5000, cut=2000),
    "cut chunked body": Answer(chunks=(b"a" * 100,), cut=1),
    "damaged gzip": Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    "429": Answer(429),
    "429 with seconds": Answer(429, headers={"Retry-After": "2"}),
    "500": Answer(500, body=b"<html>"),
    "502": Answer(502),
    "503 with date": Answer(503, headers={"Retry-After": format_datetime(datetime.now(UTC), usegmt=True)}),
    "504": Answer(504),
    "520 of Cloudflare": Answer(520, body=b"<html>"),
    "530 of Cloudflare": Answer(530, body=b"error code: 1033"),
}


@pytest.mark.parametrize("kind", PASSING)
def test_a_passing_failure_is_tried_again(kind: str) -> None:
    with serving([PASSING[kind], PASSING[kind], Answer(body=b"good")]) as server:
        http = client()
        assert ask(http, server, table="crm_lead") == b"good"
    usage = http.usage("crm_lead")
    assert (usage.requests, usage.retries) == (3, 2)
    assert usage == http.usage()


@pytest.mark.parametrize("kind", PASSING)
def test_a_failure_that_stays_ends_after_the_last_try(kind: str) -> None:
    with serving([PASSING[kind]]) as server, pytest.raises(TransientError) as caught:
        ask(client(retry=RetryPolicy(tries=3)), server, table="crm_lead")
    assert len(server.asked) == 3
    message = str(caught.value)
    assert "tenant northwind, source odoo, table crm_lead" in message
    assert "3 tries" in message
    assert "next sync" in message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422, 501, 505, 999])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with serving([Answer(status)]) as server, pytest.raises(PermanentError, match=f"HTTP {status}"):
        ask(client(), server)
    assert len(server.asked) == 1


def test_a_redirect_is_named_and_never_followed() -> None:
    moved = Answer(301, headers={"Location": "https://user:pw@elsewhere.example/jsonrpc?token=abc"})
    with serving([moved]) as server, pytest.raises(PermanentError, match=r"https://elsewhere\.example") as caught:
        ask(client(), server)
    assert "token" not in str(caught.value)
    assert len(server.asked) == 1


def test_nothing_listening_is_transient_and_says_so() -> None:
    with serving([Answer()]) as server:
        url = server.url
    with pytest.raises(TransientError, match="refused"):
        client().fetch("GET", url, parse=body)


def test_an_unknown_host_is_transient() -> None:
    with pytest.raises(TransientError, match="does not resolve"):
        client(retry=RetryPolicy(tries=1)).fetch("GET", "http://no-such-host.invalid/", parse=body)


@pytest.mark.parametrize(
    "url", ["ftp://x/", "no-scheme", "http://", "http://[::1/", "http://u:pw@x/", "http://x:99999/", "http://..x/"]
)
def test_an_unusable_address_is_permanent(url: str) -> None:
    with pytest.raises(PermanentError, match="address"):
        client().fetch("GET", url, parse=body)


def test_a_timeout_is_tried_once_more_only() -> None:
    with serving([Answer(hang=3.0)]) as server, pytest.raises(SlowAnswer, match="timed out"):
        ask(client(timeout_seconds=0.5), server)
    assert len(server.asked) == 2


def test_a_body_that_trickles_in_does_not_outlive_the_timeout() -> None:
    drip = Answer(chunks=(b"x",) * 100, pause=0.05)
    with serving([drip]) as server:
        began = time.monotonic()
        with pytest.raises(SlowAnswer):
            ask(client(timeout_seconds=0.2, retry=RetryPolicy(tries=1)), server)
        assert time.monotonic() - began < 4


def test_a_gateway_that_gives_up_late_counts_as_slow() -> None:
    with serving([Answer(502, hang=0.2)]) as server, pytest.raises(SlowAnswer):
        ask(client(retry=RetryPolicy(slow_after=0.15)), server)
    assert len(server.asked) == 2


def test_the_deadline_ends_the_tries() -> None:
    clock = Clock()
    with serving([Answer(503, headers={"Retry-After": "40"})]) as server, pytest.raises(TransientError, match="40 s"):
        ask(client(clock=clock, sleep=clock.sleep, retry=RetryPolicy(tries=100, deadline=100)), server)
    assert clock.now - 1000 <= 100
    assert 2 <= len(server.asked) <= 3


def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    clock = Clock()
    far = Answer(429, headers={"Retry-After": "86400"})
    with serving([far]) as server, pytest.raises(TransientError, match="asks to wait 86400 s"):
        ask(client(clock=clock, sleep=clock.sleep), server)
    assert clock.slept == []


def test_waits_grow_and_are_jittered() -> None:
    clock = Clock()
    policy = RetryPolicy(tries=8, first_wait=1, longest_wait=10, deadline=1000)
    with serving([Answer(500)]) as server, pytest.raises(TransientError):
        ask(client(clock=clock, sleep=clock.sleep, jitter=lambda: 0.5, retry=policy), server)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_retry_after_holds_back_every_thread() -> None:
    answers = [Answer(429, headers={"Retry-After": "0.4"}), Answer()]
    with serving(answers) as server:
        http = HttpClient("t", "s", jitter=lambda: 0.0)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, http, server)
            while not http.usage().retries:
                time.sleep(0.005)
            second = pool.submit(ask, http, server)
            first.result()
            second.result()
        starts = sorted(asked.at for asked in server.asked)
    assert len(starts) == 3
    assert starts[1] - starts[0] >= 0.39


def test_requests_in_flight_stay_within_the_bound() -> None:
    with serving([Answer(hang=0.02)]) as server:
        http = client(max_in_flight=3)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: ask(http, server), range(24)))
    assert server.most_under_way == 3
    assert server.connections <= 3


def test_requests_per_second_are_spaced() -> None:
    with serving([Answer()]) as server:
        http = client(max_in_flight=8, max_per_second=50, sleep=time.sleep)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(http, server), range(15)))
    assert time.monotonic() - began >= 14 / 50 * 0.99


def test_connections_are_kept() -> None:
    with serving([Answer()]) as server:
        http = client()
        for _ in range(5):
            ask(http, server)
        assert server.connections == 1
        http.close()


def test_parse_decides_what_passes() -> None:
    def parse(response: Response) -> str:
        if response.body == b"busy":
            raise TryAgain("the database is busy")
        return response.body.decode()

    with serving([Answer(body=b"busy"), Answer(body=b"done")]) as server:
        assert client().fetch("GET", server.url, parse=parse) == "done"
    with serving([Answer(body=b"busy")]) as server, pytest.raises(TransientError, match="the database is busy"):
        client().fetch("GET", server.url, parse=parse)


def test_no_credential_shows_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (Answer(reset=True), Answer(500), Answer(404), Answer(hang=0.3), Answer(301)):
        with serving([answer]) as server, pytest.raises((TransientError, PermanentError)) as caught:
            client(timeout_seconds=0.1).fetch(
                "POST",
                server.url,
                parse=body,
                json={"password": PASSWORD},
                headers={"Authorization": f"bearer {PASSWORD}"},
                table="crm_lead",
            )
        assert PASSWORD not in str(caught.value)
        assert caught.value.__cause__ is None
    assert PASSWORD not in "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)


def test_logs_carry_tenant_source_and_table(caplog: pytest.LogCaptureFixture) -> None:
    with serving([Answer(500), Answer()]) as server:
        ask(client(), server, table="crm_lead")
    record: Any = next(record for record in caplog.records if record.name == "resources.http")
    assert (record.tenant, record.source, record.table, record.attempt) == ("northwind", "odoo", "crm_lead", 1)


def test_a_netrc_does_not_replace_our_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving([Answer()]) as server:
        client().fetch("GET", server.url, parse=body, headers={"Authorization": "bearer mine"})
        assert server.asked[0].headers["Authorization"] == "bearer mine"


def test_a_proxy_does_not_stand_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving([Answer(body=b"direct")]) as server:
        assert client(retry=RetryPolicy(tries=1)).fetch("GET", server.url, parse=body) == b"direct"


def test_cookies_are_not_kept() -> None:
    with serving([Answer(headers={"Set-Cookie": "session_id=abc; Path=/"}), Answer()]) as server:
        http = client()
        ask(http, server)
        ask(http, server)
        assert "Cookie" not in server.asked[1].headers


def test_server_time_goes_on_from_the_latest_date_header() -> None:
    clock = Clock()
    stamp = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    with serving(
        [Answer(headers={"Date": format_datetime(stamp, usegmt=True)}), Answer(headers={"Date": "soon"})]
    ) as server:
        http = client(clock=clock)
        assert http.server_time() is None
        ask(http, server)
        assert http.server_time() == stamp
        clock.now += 90.9
        assert http.server_time() == stamp + timedelta(seconds=90)
        ask(http, server)
        assert http.server_time() == stamp + timedelta(seconds=90)


def test_usage_adds_up_over_tables() -> None:
    with serving([Answer(body=b"12345")]) as server:
        http = client()
        for table in ("a", "b", "b"):
            ask(http, server, table=table)
    assert (http.usage("b").requests, http.usage("b").bytes_read) == (2, 10)
    assert (http.usage().requests, http.usage().bytes_read) == (3, 15)
    assert http.usage("never") == Usage()


def test_threads_get_their_own_answers() -> None:
    def echo(asked: Any) -> Answer:
        return Answer(body=asked.body)

    with serving(echo) as server:
        http = client(max_in_flight=6)
        barrier = threading.Barrier(6)

        def work(number: int) -> bool:
            barrier.wait()
            return all(
                http.fetch("POST", server.url, parse=body, data=f"{number}-{i}".encode()) == f"{number}-{i}".encode()
                for i in range(20)
            )

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(work, range(6)))


@given(seconds=st.integers(0, 10_000_000))
def test_retry_after_reads_seconds_and_dates(seconds: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"Retry-After": str(seconds)}) == seconds
    assert retry_after({"Retry-After": date, "Date": format_datetime(now, usegmt=True)}) == seconds


@given(text=st.text(max_size=40))
@example("Mon, 01 Jan 0001 00:00:00 +2300")
@example("nan")
@example("-5")
def test_odd_headers_never_fail(text: str) -> None:
    assert http_date(text) is None or http_date(text)
    wait = retry_after({"Retry-After": text, "Date": text})
    assert wait is None or wait >= 0


def test_usage_is_added_by_field() -> None:
    assert Usage(1, 2, 3, 4.0) + Usage(1, 1, 1, 1.0) == Usage(2, 3, 4, 5.0)
