import datetime
import os
import uuid

from groundwork_client import AuthenticatedClient, Client
from groundwork_client.api.items import (
    items_create_item,
    items_delete_item,
    items_read_item,
    items_read_items,
    items_update_item,
)
from groundwork_client.api.login import login_login_access_token, login_reauthenticate, login_refresh_token
from groundwork_client.api.users import users_read_activity_me, users_register_user
from groundwork_client.models import (
    AuditEventsPublic,
    BodyLoginLoginAccessToken,
    HTTPError,
    HTTPValidationError,
    ItemCreate,
    ItemPublic,
    ItemsPublic,
    ItemUpdate,
    Message,
    Reauthenticate,
    RefreshToken,
    Token,
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

# What has a default has it here too, and what may be left out is left out.
account = UserCreate(email="grace@example.com", password=PASSWORD)
is_active: bool | Unset = account.is_active
assert is_active is True and isinstance(account.full_name, Unset)
