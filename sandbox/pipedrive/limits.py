"""What an account may ask: requests in two seconds per token, and tokens a day for the whole company."""

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from starlette.responses import Response

from sandbox.pipedrive import answers

PLANS = {"lite": (1, 20, 80), "growth": (2, 40, 160), "premium": (5, 100, 400), "ultimate": (7, 120, 480)}
"""Plan -> (multiplier of the daily tokens, requests in two seconds per API token, per OAuth token)."""
WINDOW_SECONDS = 2.0
BASE_TOKENS = 30_000
PATIENCE_SECONDS = 10.0


@dataclass
class Limits:
    """Counts requests and tokens by the sandbox's clock.

    `burst`, `daily_tokens`: instead of the plan's (0: no limit). `patience`: how many 429s within ten seconds an API token gets
    before the front proxy answers with its page of HTML (INVENTED number).
    """

    plan: str = "growth"
    seats: int = 5
    burst: int | None = None
    daily_tokens: int | None = None
    patience: int = 40
    used: int = 0
    rejected: int = 0
    """429s and 403s since the start."""
    most_in_window: int = 0
    """The most requests that one token sent within two seconds, refused ones not counted."""
    day: date | None = None
    _sent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque), repr=False)
    _refused: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque), repr=False)

    def budget(self) -> int:
        """Tokens a day."""
        if self.daily_tokens is not None:
            return self.daily_tokens
        return BASE_TOKENS * PLANS[self.plan][0] * self.seats

    def burst_limit(self, oauth: bool) -> int:
        """Requests within two seconds."""
        return self.burst if self.burst is not None else PLANS[self.plan][2 if oauth else 1]

    def set(self, **options: Any) -> None:
        """Change plan, seats, burst, daily_tokens, patience or used; an unknown name is a ValueError."""
        known = {"plan", "seats", "burst", "daily_tokens", "patience", "used"}
        if unknown := set(options) - known:
            raise ValueError(f"no such limit: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        if options.get("plan", "lite") not in PLANS:
            raise ValueError(f"plan must be one of {', '.join(PLANS)}")
        for name, value in options.items():
            setattr(self, name, value)
        self._sent.clear()
        self._refused.clear()

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "plan": self.plan, "seats": self.seats, "burst": self.burst, "daily_tokens": self.budget(), "used": self.used,
            "patience": self.patience, "rejected": self.rejected, "most_in_window": self.most_in_window,
        }  # fmt: skip

    def admit(self, token: str, oauth: bool, cost: int, now: datetime) -> tuple[Response | None, dict[str, str]]:
        """Count one request.

        Returns:
            The refusal, if it is one, and the headers of an answer that is none.
        """
        at = now.timestamp()
        if self.day != now.date():
            self.day, self.used = now.date(), 0
        refused = self._trim(self._refused[token], at - PATIENCE_SECONDS)
        if not oauth and len(refused) >= self.patience:
            self.rejected += 1
            refused.append(at)
            return answers.banned(), {}
        limit = self.burst_limit(oauth)
        sent = self._trim(self._sent[token], at - WINDOW_SECONDS)
        reset = max(1, math.ceil(sent[0] + WINDOW_SECONDS - at)) if sent else int(WINDOW_SECONDS)
        if limit and len(sent) >= limit:
            self.rejected += 1
            refused.append(at)
            return answers.over_burst(limit, reset), {}
        budget = self.budget()
        if budget and self.used + cost > budget:
            self.rejected += 1
            refused.append(at)
            return answers.over_budget(limit, max(0, limit - len(sent) - 1)), {}
        sent.append(at)
        self.used += cost
        self.most_in_window = max(self.most_in_window, len(sent))
        return None, answers.burst_headers(limit, limit - len(sent), reset) if limit else {}

    @staticmethod
    def _trim(times: deque[float], begin: float) -> deque[float]:
        while times and times[0] <= begin:
            times.popleft()
        return times
