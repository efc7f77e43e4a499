"""Answers that Schemathesis takes for failures and that are right, each with its reason: no schema could say so."""

import unicodedata
from urllib.parse import parse_qs, urlsplit

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData, UndefinedStatusCode

# As src/http.ts has it.
LARGEST_HEAD = 32 * 1024


def places(response):
    """Where what has the right form is refused all the same."""
    if response.status_code != 422:
        return []
    return [fault["loc"] if fault["type"] == "value_error" else None for fault in response.json()["detail"]]


def is_made_up_cursor(response):
    """A cursor is one that the service gave, for the same list, and goes without `skip`: which is between parameters."""
    query = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
    return "cursor" in query and places(response) == [["query", "cursor"]]


def is_used_key(response):
    """A key stands for the body that it was first sent with."""
    is_keyed = "Idempotency-Key" in response.request.headers
    return is_keyed and places(response) == [["header", "idempotency-key"]]


def is_stale(response):
    """A made-up version is not the one that is there."""
    return "If-Match" in response.request.headers and response.status_code == 412


def is_known(response):
    """`*` is every version: the row is not sent again, which is as good as sending it."""
    return "If-None-Match" in response.request.headers and response.status_code == 304


def is_made_up_reference(response):
    """A row refers to others by ids that are there."""
    if response.status_code != 422:
        return False
    return all(fault["msg"] == "Value refers to nothing that is there" for fault in response.json()["detail"])


def is_without_format(response):
    """Where null is allowed beside a text, Schemathesis forgets the format of the text, and sends an empty one."""
    if response.status_code != 422:
        return False
    is_uuid = all(fault["type"] == "uuid_parsing" for fault in response.json()["detail"])
    return is_uuid and '""' in str(response.request.body)


def is_guessable(response):
    """The most common passwords, and what is no more than the address, are a list and a comparison: no schema has them."""
    if response.status_code != 422:
        return False
    return all(fault["type"] == "common_password" for fault in response.json()["detail"])


def is_one_of_two(response):
    """A password or a code, not both and not neither: generated clients make nothing of a schema that says so."""
    is_there = response.request.path_url.endswith("/login/reauthenticate")
    return is_there and places(response) == [["body", "password"]]


def is_over(response):
    """What expires does so in time to come, which no schema knows."""
    return places(response) == [["body", "expires_at"]]


def is_unknown_permission(response):
    """Permissions are those that operations name."""
    found = places(response)
    return found != [] and all(place is not None and place[:2] == ["body", "permissions"] for place in found)


def is_too_large(response):
    """Is refused before anything knows which operation it is for; other ways of being wrong may make it so large."""
    request = response.request
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers.items())
    return response.status_code == 431 and len(request.path_url) + fields > LARGEST_HEAD


PASSWORDS = {"password", "new_password", "current_password"}


def is_counted_otherwise(case):
    """Passwords are counted as NFKC has them (NIST SP 800-63B), where `½` is three characters; a schema counts one."""
    body = case.body if isinstance(case.body, dict) else {}
    texts = [text for name, text in body.items() if name in PASSWORDS and isinstance(text, str)]
    return any(len(text) != len(unicodedata.normalize("NFKC", text)) for text in texts)


def is_cleaned(case):
    """
    White space around an address is no part of it, other scripts are taken, and rows of another system may have longer local
    parts: `format` knows none of that.
    """
    body = case.body if isinstance(case.body, dict) else {}
    parts = [body, case.path_parameters or {}, case.query or {}]
    texts = [part.get(name) for part in parts for name in ("email", "email_to")]
    return any(isinstance(text, str) and (text.strip() != text or not text.isascii() or text.find("@") > 64) for text in texts)


REFUSED_RIGHTLY = (
    is_made_up_cursor,
    is_used_key,
    is_stale,
    is_known,
    is_made_up_reference,
    is_without_format,
    is_guessable,
    is_one_of_two,
    is_over,
    is_unknown_permission,
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, RejectedPositiveData):
        refused = any(is_right(response) for is_right in REFUSED_RIGHTLY)
        return not (refused or is_counted_otherwise(case))
    if isinstance(failure, AcceptedNegativeData) and (is_counted_otherwise(case) or is_cleaned(case)):
        return False
    if isinstance(failure, (UndefinedStatusCode, AcceptedNegativeData)):
        return not is_too_large(response)
    return True
