"""What a Hugging Face key may do. Its kind is read off the key itself: see `account`."""

from typing import Literal

from aiohttp import web

from imagegate.sandbox.call import RefusedError

Account = Literal["free", "pro"]

NO_CREDIT = (
    "You have exceeded your monthly included credits for Inference Providers. "
    "Subscribe to PRO to get 20x more monthly included credits."
)
NO_SCOPE = (
    "This authentication method does not have sufficient permissions to call Inference Providers on behalf of user "
)


def account(request: web.Request) -> Account:
    """Whose key it is: `hf_…` a free account's, `hf_pro…` a PRO one's. Raises RefusedError: 401 without a key, for
    another scheme, or for a key that contains `revoked`.
    """
    given = request.headers.get("Authorization")
    if given is None:
        raise RefusedError(401, {"error": "Invalid username or password."})
    scheme, _, key = given.partition(" ")
    if scheme.lower() != "bearer" or not key.startswith("hf_") or "revoked" in key:
        raise RefusedError(401, {"error": "Invalid credentials in Authorization header"})
    return "pro" if key.startswith("hf_pro") else "free"


def account_for_inference(request: web.Request) -> Account:
    """As `account`; besides, a key that contains `broke` has no credit (402), one with `unscoped` no right (403)."""
    kind = account(request)
    key = request.headers["Authorization"]
    if "broke" in key:
        raise RefusedError(402, {"error": NO_CREDIT})
    if "unscoped" in key:
        raise RefusedError(403, {"error": NO_SCOPE + user_name(kind)})
    return kind


def user_name(kind: Account) -> str:
    return f"sandbox-{kind}"
