"""Who asks while the service is fuzzed. Nothing is left out: an account that was ended is followed by a new one."""

import os
import uuid

import requests
import schemathesis

import accepted  # noqa: F401: answers that are right
import figures  # noqa: F401: what is counted

API = os.environ["FUZZ_URL"] + "/api/v1"
ROLE = os.environ["FUZZ_ROLE"]
FIRST_SUPERUSER = {"username": "admin@example.com", "password": "changethis"}


def sign_in(username, password):
    answer = requests.post(f"{API}/login/access-token", data={"username": username, "password": password})
    answer.raise_for_status()
    return answer.json()["access_token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


admin = bearer(sign_in(**FIRST_SUPERUSER))
admin_id = requests.get(f"{API}/users/me", headers=admin).json()["id"]


class Account:
    """The account that asks; made when it is needed, and again once its token is worth nothing."""

    token = None

    def __init__(self, is_superuser):
        self.is_superuser = is_superuser

    def bearer(self):
        if self.token is None:
            email, password = f"{uuid.uuid4()}@example.com", "correct horse battery"
            body = {"email": email, "password": password, "is_superuser": self.is_superuser}
            requests.post(f"{API}/users/", json=body, headers=admin).raise_for_status()
            self.token = sign_in(email, password)
        return bearer(self.token)

    def sent(self, request):
        return self.token is not None and request.headers.get("Authorization") == f"Bearer {self.token}"


account = Account(is_superuser=ROLE == "superuser")

if ROLE != "nobody":

    @schemathesis.auth(refresh_interval=None)
    class Bearer:
        def get(self, case, context):
            return account.bearer()

        def set(self, case, data, context):
            case.headers.update(data)


@schemathesis.hook
def before_call(context, case, kwargs):
    """The one account that is not fuzzed makes the others; a superuser would find it in the list."""
    parameters = case.path_parameters
    if isinstance(parameters, dict) and str(parameters.get("user_id")).lower() == admin_id:
        parameters["user_id"] = str(uuid.uuid4())


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Addresses are decoded once too often on their way: `%f5` in one would become U+FFFD."""
    if isinstance((path_parameters or {}).get("email"), str):
        local, at, domain = path_parameters["email"].replace("%40", "@").rpartition("@")
        path_parameters["email"] = (local + at).replace("%", "+").replace("\ufffd", "+") + domain
    return path_parameters


ENDS_ITSELF = {"users-delete_user_me", "login-logout"}


@schemathesis.hook
def after_call(context, case, response):
    if not account.sent(response.request):
        return
    ended = case.operation.definition.raw.get("operationId") in ENDS_ITSELF and response.status_code == 200
    if ended or response.status_code == 401:
        account.token = None
