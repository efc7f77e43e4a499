import base64
import datetime
import hmac
import os
import struct
import time
import uuid

from groundwork_client import AuthenticatedClient, Client
from groundwork_client.api.items import (
    items_create_item,
    items_delete_item,
    items_read_item,
    items_read_items,
    items_update_item,
)
from groundwork_client.api.login import (
    login_login_access_token,
    login_reauthenticate,
    login_refresh_token,
    login_second_factor,
)
from groundwork_client.api.users import (
    users_create_api_key,
    users_enroll_totp,
    users_read_activity_me,
    users_register_user,
    users_verify_totp,
)
from groundwork_client.models import (
    ApiKeyCreate,
    ApiKeyCreated,
    AuditEventsPublic,
    BodyLoginLoginAccessToken,
    FactorCode,
    HTTPError,
    HTTPValidationError,
    ItemCreate,
    ItemPublic,
    ItemUpdate,
    ItemsPublic,
    Message,
    NewRecoveryCodes,
    Reauthenticate,
    RefreshToken,
    SecondFactor,
    SecondFactorRequired,
    Token,
    TotpEnroll,
    TotpEnrollment,
    UserCreate,
    UserPublic,
    UserRegister,
)
from groundwork_client.types import Unset

URL = os.environ["BASE_URL"]
PASSWORD = "correct horse battery"
nobody = Client(base_url=URL)


def seen(step: str) -> None:
    print(f"✓ {step}")


def sign_up() -> UserPublic:
    body = UserRegister(email=f"{uuid.uuid4()}@example.com", password=PASSWORD)
    user = users_register_user.sync(client=nobody, body=body)
    assert isinstance(user, UserPublic), user
    return user


def sign_in(user: UserPublic) -> Token:
    body = BodyLoginLoginAccessToken(username=user.email, password=PASSWORD)
    token = login_login_access_token.sync(client=nobody, body=body)
    assert isinstance(token, Token), token
    return token


def authenticated(token: Token) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=URL, token=token.access_token)


ada = sign_up()
name: str | None = ada.full_name
created_at: datetime.datetime = ada.created_at
assert name is None and created_at.tzinfo is not None
seen("sign up")

session = sign_in(ada)
expires_in: int = session.expires_in
assert session.token_type == "bearer" and expires_in > 0
seen("log in with the form")

refreshed = login_refresh_token.sync(client=nobody, body=RefreshToken(refresh_token=session.refresh_token))
assert isinstance(refreshed, Token), refreshed
client = authenticated(refreshed)
again = login_reauthenticate.sync(client=client, body=Reauthenticate(password=PASSWORD))
assert isinstance(again, Message) and again.message == "Reauthenticated", again
activity = users_read_activity_me.sync(client=client, limit=2)
assert isinstance(activity, AuditEventsPublic), activity
assert [event.event for event in activity.data] == ["reauthenticated", "sign_in"]
actor_id: uuid.UUID | None = activity.data[0].actor_id
assert actor_id == ada.id
seen("refresh")

item = items_create_item.sync(client=client, body=ItemCreate(title="Engine"))
assert isinstance(item, ItemPublic), item
item_id: uuid.UUID = item.id
description: str | None = item.description
assert description is None
seen("create")

page = items_read_items.sync(client=client, limit=10)
assert isinstance(page, ItemsPublic), page
next_cursor: str | None = page.next_cursor
assert page.count == 1 and page.data == [item] and next_cursor is None
second = items_create_item.sync(client=client, body=ItemCreate(title="Loom", description=None))
first = items_read_items.sync(client=client, limit=1)
assert isinstance(first, ItemsPublic) and first.data == [second] and first.next_cursor, first
rest = items_read_items.sync(client=client, limit=1, cursor=first.next_cursor)
assert isinstance(rest, ItemsPublic) and rest.data == [item] and rest.next_cursor is None, rest
seen("list")

updated = items_update_item.sync(item_id, client=client, body=ItemUpdate(description="Brass"))
assert isinstance(updated, ItemPublic), updated
assert (updated.title, updated.description) == ("Engine", "Brass")
cleared = items_update_item.sync(item_id, client=client, body=ItemUpdate(description=None))
assert isinstance(cleared, ItemPublic) and cleared.description is None, cleared
seen("update")

forbidden = items_read_item.sync_detailed(item_id, client=authenticated(sign_in(sign_up())))
assert forbidden.status_code == 403 and isinstance(forbidden.parsed, HTTPError), forbidden
assert forbidden.parsed.detail == "Not enough permissions"
assert forbidden.parsed.code == "not_enough_permissions"
seen("read a 403")

invalid = items_create_item.sync_detailed(client=client, body=ItemCreate(title=""))
assert invalid.status_code == 422 and isinstance(invalid.parsed, HTTPValidationError), invalid
assert invalid.parsed.code == "validation_error"
fault = invalid.parsed.detail[0]
loc: list[int | str] = fault.loc
assert loc == ["body", "title"] and fault.type_ == "string_too_short"
seen("read a 422")

deleted = items_delete_item.sync(item_id, client=client)
assert isinstance(deleted, Message) and deleted.message == "Item deleted successfully", deleted
seen("delete")

missing = items_read_item.sync_detailed(item_id, client=client)
assert missing.status_code == 404 and isinstance(missing.parsed, HTTPError), missing
assert missing.parsed.detail == "Item not found"
seen("read a 404")


def code_of(secret: str) -> str:
    """The code of an authenticator now (RFC 6238)."""
    key = base64.b32decode(secret)
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), "sha1").digest()
    offset = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


grace = sign_up()
by_password = authenticated(sign_in(grace))
enrollment = users_enroll_totp.sync(client=by_password, body=TotpEnroll())
assert isinstance(enrollment, TotpEnrollment), enrollment
given = users_verify_totp.sync(
    enrollment.id, client=by_password, body=FactorCode(code=code_of(enrollment.secret))
)
assert isinstance(given, NewRecoveryCodes) and len(given.recovery_codes) == 10, given
form = BodyLoginLoginAccessToken(username=grace.email, password=PASSWORD)
asked = login_login_access_token.sync(client=nobody, body=form)
assert isinstance(asked, SecondFactorRequired) and isinstance(asked.challenge, str), asked
shown = login_second_factor.sync(
    client=nobody, body=SecondFactor(challenge=asked.challenge, code=given.recovery_codes[0])
)
assert isinstance(shown, Token), shown
seen("sign in with a second factor")

made = users_create_api_key.sync(
    client=authenticated(shown), body=ApiKeyCreate(name="Export", permissions=["items:read"])
)
assert isinstance(made, ApiKeyCreated), made
program = AuthenticatedClient(base_url=URL, token=made.key)
own = items_read_items.sync(client=program)
assert isinstance(own, ItemsPublic) and own.data == [], own
refused = items_create_item.sync_detailed(client=program, body=ItemCreate(title="Engine"))
assert refused.status_code == 403 and isinstance(refused.parsed, HTTPError), refused
assert refused.parsed.code == "api_key_not_allowed"
seen("use an API key")

# What has a default has it here too, and what may be left out is left out.
account = UserCreate(email="grace@example.com", password=PASSWORD)
is_active: bool | Unset = account.is_active
assert is_active is True and isinstance(account.full_name, Unset)
