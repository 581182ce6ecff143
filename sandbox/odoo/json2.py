"""The wire of Odoo 19: `POST /json/2/<model>/<method>`, named arguments, bearer key, real HTTP codes.

From the documentation and the source's behaviour as written down in the facts; nothing of it was recorded.
"""

import inspect
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.odoo import errors
from sandbox.odoo.methods import MODEL_METHODS, RECORD_METHODS, Call, Encoded, invoke
from sandbox.odoo.rpc import JSON_TYPE, Odoo, Outcome
from sandbox.odoo.views import dumps

_GONE = {"name_get", "check_access_rights"}
_STATUS = {
    errors.ACCESS_DENIED: 403,
    errors.ACCESS_ERROR: 403,
    errors.MISSING_ERROR: 404,
    errors.USER_ERROR: 422,
    errors.VALIDATION_ERROR: 422,
}


class HttpError(errors.ServerError):
    """An error werkzeug raises, with its HTTP code among the arguments."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(f"werkzeug.exceptions.{name}", message)
        self.status = status
        self.args = (message, status)


async def json2(odoo: Odoo, request: Request, model: str, method: str) -> Outcome:
    """Answer one call."""
    outcome = Outcome(Response(), model=model, method=method)
    try:
        result = _result(odoo, request, await request.body(), model, method, outcome)
        if isinstance(result, Encoded):
            outcome.rows, body = result.rows, result.body
        else:
            outcome.rows, body = (len(result) if isinstance(result, list) else 0), dumps(result)
        status = 200
    except Exception as error:
        outcome.failed = True
        status, body = _status(error), dumps(_describe(error))
    outcome.response = Response(body, status, headers={"Content-Type": JSON_TYPE})
    return outcome


def _result(odoo: Odoo, request: Request, raw: bytes, model: str, method: str, outcome: Outcome) -> Any:
    name = odoo.only or request.headers.get("x-odoo-database") or ""
    outcome.database = name
    tenant = odoo.tenant(name)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    uid = tenant.access.by_key(key.strip()) if scheme.lower() == "bearer" else None
    if uid is None:
        raise HttpError("Unauthorized", 401, "Invalid apikey")
    if model not in tenant.database.tables:
        raise HttpError("NotFound", 404, f"the model {model!r} does not exist")
    if method.startswith("_"):
        raise errors.access_error(f"Private methods (such as {method}) cannot be called remotely.")
    function = MODEL_METHODS.get(method) or RECORD_METHODS.get(method)
    if function is None or method in _GONE:
        raise HttpError("NotFound", 404, f"the method {model}.{method} does not exist")
    try:
        given = json.loads(raw or b"{}")
    except ValueError as error:
        raise HttpError("BadRequest", 400, f"could not parse the body as json: {error}") from error
    if not isinstance(given, dict):
        raise HttpError("BadRequest", 400, "the body must be a json object")
    if method in MODEL_METHODS and given.get("ids"):
        raise HttpError("UnprocessableEntity", 422, f"cannot call {model}.{method} with ids")
    context = given.pop("context", None)
    try:
        inspect.signature(function).bind(None, **given)
    except TypeError as error:
        raise HttpError("UnprocessableEntity", 422, str(error)) from error
    result = invoke(Call(tenant, uid, model), method, [], given | {"context": context})
    return [result] if method == "create" and isinstance(result, int) else result


def _status(error: Exception) -> int:
    if isinstance(error, HttpError):
        return error.status
    return _STATUS.get(error.name, 500) if isinstance(error, errors.ServerError) else 500


def _describe(error: Exception) -> dict[str, Any]:
    described = errors.describe(error)
    return described | {"message": str(error.args[0]) if error.args else ""}
