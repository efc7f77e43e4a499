"""Answers that Schemathesis takes for failures and that are right, each with its reason: no schema could say so."""

from urllib.parse import parse_qs, urlsplit

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData, UndefinedStatusCode

LISTS = {"items-read_items", "mails-read_mails", "users-read_users"}
CONDITIONAL_WRITES = {"items-update_item", "items-delete_item"}
# As src/http.ts has it.
LARGEST_HEAD = 32 * 1024


def places(response):
    """Where what has the right form is refused all the same."""
    if response.status_code != 422:
        return []
    return [fault["loc"] if fault["type"] == "value_error" else None for fault in response.json()["detail"]]


def is_made_up_cursor(operation, response):
    """A cursor is one that the service gave, for the same list, and goes without `skip`: which is between parameters."""
    query = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
    return operation in LISTS and "cursor" in query and places(response) == [["query", "cursor"]]


def is_used_key(operation, response):
    """A key stands for the body that it was first sent with."""
    is_keyed = operation == "items-create_item" and "Idempotency-Key" in response.request.headers
    return is_keyed and places(response) == [["header", "idempotency-key"]]


def is_stale(operation, response):
    """A made-up version is not the one that is there."""
    is_conditional = operation in CONDITIONAL_WRITES and "If-Match" in response.request.headers
    return is_conditional and response.status_code == 412


def is_known(operation, response):
    """`*` is every version: the item is not sent again, which is as good as sending it."""
    is_conditional = operation == "items-read_item" and "If-None-Match" in response.request.headers
    return is_conditional and response.status_code == 304


def is_too_large(response):
    """Is refused before anything knows which operation it is for; other ways of being wrong may make it so large."""
    request = response.request
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers.items())
    return response.status_code == 431 and len(request.path_url) + fields > LARGEST_HEAD


REFUSED_RIGHTLY = (is_made_up_cursor, is_used_key, is_stale, is_known)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, RejectedPositiveData):
        operation = case.operation.definition.raw.get("operationId")
        return not any(is_right(operation, response) for is_right in REFUSED_RIGHTLY)
    if isinstance(failure, (UndefinedStatusCode, AcceptedNegativeData)):
        return not is_too_large(response)
    return True
