"""Who may ask: the account's API token, and OAuth access tokens that a refresh token buys for an hour."""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from sandbox.clock import Clock
from sandbox.pipedrive import answers

LIFETIME_SECONDS = 3600
SCOPES = "base deals:read contacts:read activities:read products:read users:read"


def secret(tenant: str, what: str) -> str:
    """40 hexadecimal digits that are the same every time: `api token`, `client secret` or `refresh token` of a tenant."""
    return hashlib.sha1(f"{tenant} {what}".encode()).hexdigest()


class Login:
    """The credentials of one account. The clock decides when an access token ends."""

    def __init__(self, tenant: str, clock: Clock) -> None:
        self.tenant, self.clock = tenant, clock
        self.api_token = secret(tenant, "api token")
        self.client_id = secret(tenant, "client id")[:16]
        self.client_secret = secret(tenant, "client secret")
        self.refresh_token = f"1820179:{secret(tenant, 'refresh token')}"
        self.access_tokens: dict[str, datetime] = {}
        self.refreshes = 0

    def who(self, request: Request) -> tuple[str, bool] | Response:
        """The token that asks and whether it is one of OAuth, or the refusal."""
        bearer = request.headers.get("authorization", "")
        if bearer:
            scheme, _, token = bearer.partition(" ")
            issued = self.access_tokens.get(token) if scheme.lower() == "bearer" else None
            if issued is None or (self.clock.now() - issued).total_seconds() >= LIFETIME_SECONDS:
                return answers.expired_token()
            return token, True
        token = request.headers.get("x-api-token") or request.query_params.get("api_token") or ""
        return (token, False) if token == self.api_token else answers.unauthorized()

    async def token(self, request: Request) -> Response:
        """`POST /oauth/token` with `grant_type=refresh_token`; the wording of refusals is the vendor's."""
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return self._refused("Invalid request: content must be application/x-www-form-urlencoded")
        if "grant_type" not in form:
            return self._refused("Missing parameter: grant_type")
        if form["grant_type"] != "refresh_token":
            return self._refused("Unsupported grant type: grant_type is invalid")
        client = self._client(request, form)
        if not all(client):
            return self._refused("Invalid client: cannot retrieve client credentials")
        if client != (self.client_id, self.client_secret):
            return self._refused("Invalid client: client is invalid")
        if form.get("refresh_token") != self.refresh_token:
            return self._refused("Invalid grant: refresh_token is invalid")
        self.refreshes += 1
        access = f"v1u:{secret(self.tenant, f'access token {self.refreshes}')}"
        self.access_tokens[access] = self.clock.now()
        here = str(request.base_url).rstrip("/")
        body = {"access_token": access, "token_type": "Bearer", "refresh_token": self.refresh_token, "scope": SCOPES}
        return answers.answer(
            {**body, "expires_in": LIFETIME_SECONDS - 1, "api_domain": f"{here}/pipedrive/{self.tenant}"}
        )

    def expire(self) -> None:
        """Every access token ends now."""
        self.access_tokens.clear()

    def describe(self) -> dict[str, Any]:
        """What a client of this account needs, for the control endpoint."""
        return {
            "api_token": self.api_token, "client_id": self.client_id, "client_secret": self.client_secret,
            "refresh_token": self.refresh_token, "refreshes": self.refreshes,
        }  # fmt: skip

    @staticmethod
    def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return "", ""
            return name, password
        return form.get("client_id", ""), form.get("client_secret", "")

    @staticmethod
    def _refused(message: str) -> Response:
        """The messages are the vendor's. INVENTED: the envelope around them."""
        return answers.answer({"success": False, "message": message, "error": message}, 400)
