"""What a source may be asked: a day's budget over processes, and limits that requests share."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.budget import LONGEST_REQUEST, Budget, load_account
from resources.connectors.base import BudgetSpent
from resources.http import HttpClient
from resources.lake import Lake
from resources.pacing import RateLimit
from tests.connectors.scripted_server import Answer, serving


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


def spend_all(budget: Budget, cost: float = 1) -> int:
    count = 0
    try:
        while True:
            budget.spend(cost)
            count += 1
    except BudgetSpent:
        return count


def test_a_day_costs_no_more_than_its_cap_over_several_processes(lake: Lake) -> None:
    first, second = Budget(lake, "t", "s", 1000), Budget(lake, "t", "s", 1000)
    first.spend(10)
    assert 0 < spend_all(second, 10) < 100
    first.close()
    second.close()
    third = Budget(lake, "t", "s", 1000)
    spend_all(third, 10)
    third.close()
    account = load_account(lake, "t", "s")
    assert (account.spent, account.requests) == (1000, 100)


def test_what_was_not_spent_goes_back(lake: Lake) -> None:
    budget = Budget(lake, "t", "s", 100_000)
    for _ in range(7):
        budget.spend(2)
    budget.close()
    assert (load_account(lake, "t", "s").spent, load_account(lake, "t", "s").requests) == (14, 7)


def test_a_spent_budget_says_when_it_goes_on_and_then_does(lake: Lake) -> None:
    moments = [datetime(2026, 3, 31, 22, 0, tzinfo=UTC)]
    budget = Budget(lake, "acme", "crm", 3, lambda: moments[-1])
    assert [budget.spend() for _ in range(3)] == [None] * 3
    with pytest.raises(BudgetSpent, match="tenant acme, source crm: the day's budget of 3") as stop:
        budget.spend()
    assert stop.value.resumes_at == datetime(2026, 4, 1, tzinfo=UTC)
    moments.append(moments[-1] + timedelta(hours=3))
    budget.spend()


def test_without_a_cap_the_account_is_kept_all_the_same(lake: Lake) -> None:
    budget = Budget(lake, "t", "s")
    assert [budget.spend(5) for _ in range(1200)] == [None] * 1200
    budget.close()
    assert (load_account(lake, "t", "s").spent, load_account(lake, "t", "s").requests) == (6000, 1200)


def test_a_crash_leaves_an_account_that_says_too_much_and_never_too_little(lake: Lake) -> None:
    budget = Budget(lake, "t", "s", 1000)
    for _ in range(25):
        budget.spend()
    assert 25 <= load_account(lake, "t", "s").spent <= 35


def test_the_client_pays_for_every_try_and_stops_before_it_asks_too_much(lake: Lake) -> None:
    answers = [Answer(503), Answer(body=b"fine"), Answer(body=b"fine")]
    with serving(answers) as server:
        client = HttpClient("t", "s", budget=Budget(lake, "t", "s", 30), sleep=lambda seconds: None)

        def parse(response: object) -> bool:
            response.raise_for_status()  # type: ignore[attr-defined]
            return True

        assert client.fetch("GET", server.url, parse=parse, cost=10)
        assert client.fetch("GET", server.url, parse=parse, cost=10)
        with pytest.raises(BudgetSpent):
            client.fetch("GET", server.url, parse=parse, cost=10)
        client.close()
        assert len(server.asked) == 3
    assert load_account(lake, "t", "s").spent == 30


@pytest.mark.parametrize("threads", [1, 4])
def test_no_span_of_time_sees_more_requests_than_the_limit(threads: int) -> None:
    clock = Clock()
    limit = RateLimit(10, 60.0, clock, clock.sleep)
    served: list[float] = []

    def ask(times: int) -> None:
        for number in range(times):
            with limit.turn():
                clock.sleep(number % 3)  # on its way
                served.append(clock())

    workers = [threading.Thread(target=ask, args=(32 // threads,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    served.sort()
    assert all(later - earlier >= 60 for earlier, later in zip(served, served[10:], strict=False))


def test_processes_share_a_limit_while_they_run_and_after_a_crash(lake: Lake) -> None:
    waits: list[float] = []
    exports = Budget(lake, "t", "s").rate_limit("exports", 2, 60)
    with exports.turn():
        pass
    crashed = Budget(lake, "t", "s").rate_limit("exports", 2, 60).turn()
    crashed.__enter__()  # and no answer is ever told of
    again = Budget(lake, "t", "s").rate_limit("exports", 2, 60)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        again._clock = lambda: time.time() + seconds

    again._sleep = wait
    with again.turn():
        pass
    assert len(waits) == 1
    assert 55 < waits[0] <= 60
    after = load_account(lake, "t", "s")
    assert max(after.recent["exports"]) > time.time() + 60  # the crashed one still holds its place


def test_a_place_whose_process_is_gone_becomes_free(lake: Lake) -> None:
    gone = Budget(lake, "t", "s").rate_limit("exports", 1, 60).turn()
    gone.__enter__()
    after = Budget(lake, "t", "s").rate_limit("exports", 1, 60)
    after._clock = lambda: time.time() + LONGEST_REQUEST + 61
    with after.turn():
        pass


def test_a_clock_that_was_put_back_does_not_block_for_long(lake: Lake) -> None:
    early = Budget(lake, "t", "s").rate_limit("exports", 1, 60)
    early._clock = lambda: time.time() + 86_400
    with early.turn():
        pass
    late = Budget(lake, "t", "s").rate_limit("exports", 1, 60)
    assert late._take() is None
    late._clock = lambda: time.time() + LONGEST_REQUEST + 61
    assert late._take() is not None


def test_a_short_span_costs_no_file(lake: Lake) -> None:
    with Budget(lake, "t", "s").rate_limit("burst", 2, 2).turn():
        assert load_account(lake, "t", "s").recent == {}
