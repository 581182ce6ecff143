"""What an account may ask in a minute, and what Zendesk answers beyond it.

INVENTED: that a minute is any 60 seconds (a sliding window, the strictest reading of "10 requests per minute"), and that refused
requests do not count.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from sandbox.zendesk.table import dumps

PLANS = {"team": 200, "growth": 400, "professional": 400, "enterprise": 700, "enterprise_plus": 2500}
"""Requests a minute by plan, as the vendor documents them."""
WITHOUT_FORMS = ("team",)
"""Plans that lack ticket forms."""
_TOO_MANY = {
    "account": "Number of allowed API requests per minute exceeded",
    "exports": "Number of allowed incremental export API requests per minute exceeded",
}


@dataclass
class Window:
    """How many requests of one kind the last minute saw. `allowed` None: no limit."""

    allowed: int | None
    moments: deque[float] = field(default_factory=deque)

    def wait(self, now: float, seconds: float) -> float:
        """Seconds until one more is allowed; 0 if it is now."""
        while self.moments and self.moments[0] <= now - seconds:
            self.moments.popleft()
        if self.allowed is None or len(self.moments) < self.allowed:
            return 0.0
        return self.moments[len(self.moments) - self.allowed] + seconds - now


class Limits:
    """One account's. Its minute is one of the sandbox's clock, or as short as a test makes it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now`: seconds since the epoch."""
        self.now = now
        self.plan, self.seconds, self.style, self.headers = "enterprise", 60.0, "json", "2024"
        self.account, self.exports = Window(PLANS[self.plan]), Window(10)
        self.served: list[float] = []
        """When exports were served, limiter on or off."""
        self.refused = 0

    def set(self, options: dict[str, Any]) -> None:
        """`exports`, `account`: a number, or null for no limit; `plan`: see PLANS; `style` of a 429: json or text; `headers`: of
        2023 or 2024; `seconds`: how long a minute is; `reset`: forget what was asked."""
        if "plan" in options:
            self.plan = options["plan"]
            self.account.allowed = PLANS[self.plan]
        for name in ("exports", "account"):
            if name in options:
                getattr(self, name).allowed = options[name]
        self.style = options.get("style", self.style)
        self.headers = str(options.get("headers", self.headers))
        self.seconds = float(options.get("seconds", self.seconds))
        if options.get("reset"):
            self.account.moments.clear()
            self.exports.moments.clear()
            self.served.clear()
            self.refused = 0

    def describe(self) -> dict[str, Any]:
        """The settings, and the most exports that any minute saw."""
        most = max(
            (bisect_right(self.served, moment + self.seconds - 1e-9) - number for number, moment in enumerate(self.served)),
            default=0,
        )  # fmt: skip
        return {
            "plan": self.plan, "account": self.account.allowed, "exports": self.exports.allowed, "style": self.style,
            "headers": self.headers, "seconds": self.seconds, "served_exports": len(self.served), "refused": self.refused,
            "most_exports_in_a_minute": most,
        }  # fmt: skip

    def admit(self, export: bool) -> tuple[Response | None, dict[str, str]]:
        """Count a request; the refusal if it is one too many, and the headers that every answer carries."""
        now = self.now()
        wait, kind = self.account.wait(now, self.seconds), "account"
        if not wait and export:
            wait, kind = self.exports.wait(now, self.seconds), "exports"
        if wait:
            self.refused += 1
            return refusal(kind, self.style, max(1, math.ceil(wait))), self._headers(now)
        self.account.moments.append(now)
        if export:
            self.exports.moments.append(now)
            self.served.append(now)
        return None, self._headers(now)

    def _headers(self, now: float) -> dict[str, str]:
        allowed = self.account.allowed
        if allowed is None:
            return {}
        left = str(max(0, allowed - len(self.account.moments)))
        first = self.account.moments[0] if self.account.moments else now
        name = "rate-limit" if self.headers == "2023" else "ratelimit"
        limit = name if self.headers == "2023" else f"{name}-limit"
        return {
            "x-rate-limit": str(allowed), "x-rate-limit-remaining": left, limit: str(allowed), f"{name}-remaining": left,
            f"{name}-reset": str(max(1, math.ceil(first + self.seconds - now))),
        }  # fmt: skip


def refusal(kind: str, style: str, retry_after: int | None) -> Response:
    """A 429; `kind`: account or exports, `style`: json or text (which some of Zendesk's servers answer)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if style == "text":
        return Response(_TOO_MANY["account"], 429, headers, "text/plain")
    body = {"error": "APIRateLimitExceeded", "description": _TOO_MANY[kind]}
    return Response(dumps(body), 429, headers, "application/json")
