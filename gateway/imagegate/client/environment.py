"""What each process of `imagegate up` gets to see of the environment. Pure.

A key is handed to the process that needs it and to nobody else; a provider that talks to the
sandbox gets a made-up key in its place, so that a real one never reaches a stand-in.
"""

from collections.abc import Mapping

from imagegate.client.key import KEYS_VARIABLE

EDGE = "edge"
WEBUI_VARIABLE = "SD_API_URL"
# The variables that are secret, by the process that they belong to. Each may also be given as a file.
KEYS: Mapping[str, tuple[str, ...]] = {
    "huggingface": ("HUGGINGFACE_API_KEY",),
    "fal": ("FAL_KEY",),
    "automatic1111": ("SD_API_AUTH",),
    "replicate": ("REPLICATE_API_TOKEN",),
    "runpod": ("RUNPOD_API_KEY",),
    # A database's address holds its password, and what its pictures' store takes is nobody else's.
    EDGE: (
        KEYS_VARIABLE,
        "IMAGEGATE_TOKEN",
        "IMAGEGATE_EDGE_LINK_KEYS",
        "IMAGEGATE_EDGE_DATABASE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ),
}

# How a provider is pointed at its stand-in; `{sandbox}` is the sandbox's address.
STAND_INS: Mapping[str, Mapping[str, str]] = {
    "huggingface": {
        "HUGGINGFACE_BASE_URL": "{sandbox}/huggingface",
        "HUGGINGFACE_HUB_URL": "{sandbox}/huggingface-hub",
        "HUGGINGFACE_API_KEY": "hf_sandbox_free_account",
    },
    "fal": {
        "FAL_QUEUE_URL": "{sandbox}/fal/queue",
        "FAL_REST_URL": "{sandbox}/fal/rest",
        "FAL_CDN_URL": "{sandbox}/fal/cdn",
        "FAL_KEY": "sandbox-id:sandbox-secret",
    },
    "automatic1111": {WEBUI_VARIABLE: "{sandbox}/automatic1111", "SD_ENABLED": "true"},
}
# Real addresses that would be asked beside the stand-in.
REAL_ADDRESSES: Mapping[str, tuple[str, ...]] = {"huggingface": ("HUGGINGFACE_ENDPOINTS",)}


TLS_PREFIX = "IMAGEGATE_TLS"


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a process that needs no secret: the router, the sandbox."""
    return _without(environ, [key for keys in KEYS.values() for key in keys])


def of_router(environ: Mapping[str, str], targets: Mapping[str, str], *, admin_port: int) -> dict[str, str]:
    """`environ` for the router: no key, where its providers are (by variable), and its admin port."""
    return {**without_keys(environ), **targets, "IMAGEGATE_ADMIN_PORT": str(admin_port)}


def of_provider(provider: str, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for `provider`: its own keys, nobody else's."""
    return _without(environ, [key for owner, keys in KEYS.items() if owner != provider for key in keys])


def of_edge(
    environ: Mapping[str, str], *, router: str, admin: str, port: int, keys: str = "", webui: str = ""
) -> dict[str, str]:
    """`environ` for the edge: its own secrets and no upstream's, where the router and its admin port are, its HTTP
    `port`, `keys` (YAML) where `up` has made them, and where the `webui` that it shows is, if that is a stand-in.
    """
    decided = {"IMAGEGATE_ROUTER": router, "IMAGEGATE_ADMIN": admin, "IMAGEGATE_EDGE_PORT": str(port)}
    made = {name: value for name, value in ((KEYS_VARIABLE, keys), (WEBUI_VARIABLE, webui)) if value}
    return {**of_provider(EDGE, environ), **decided, **made}


def stand_in_webui(sandbox: str) -> str:
    """Where the sandbox at this address plays AUTOMATIC1111."""
    return STAND_INS["automatic1111"][WEBUI_VARIABLE].format(sandbox=sandbox)


def of_sandboxed(provider: str, environ: Mapping[str, str], sandbox: str) -> dict[str, str]:
    """`environ` for `provider` in front of the sandbox at the address `sandbox`: no real key, no real address."""
    kept = {
        name: value for name, value in without_keys(environ).items() if name not in REAL_ADDRESSES.get(provider, ())
    }
    return kept | {name: value.format(sandbox=sandbox) for name, value in STAND_INS[provider].items()}


def of_process(environ: Mapping[str, str], *, grpc_port: int, http_port: int) -> dict[str, str]:
    """`environ` with what `up` decides for every process: its ports, logs that it can read, a quick end, and that they
    speak in the clear, being on one machine: variables for TLS are for calling routers elsewhere.
    """
    decided = {
        "IMAGEGATE_PORT": str(grpc_port),
        "IMAGEGATE_HTTP_PORT": str(http_port),
        "IMAGEGATE_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    # Nobody balances load here, so nobody needs time to notice; calls under way get a moment.
    defaults = {"IMAGEGATE_DRAIN_SECONDS": "0", "IMAGEGATE_GRACE_SECONDS": "1"}
    kept = {name: value for name, value in environ.items() if not name.startswith(TLS_PREFIX)}
    return {**defaults, **kept, **decided}


def target_variable(provider: str) -> str:
    """The variable that tells the router where `provider` is."""
    return f"IMAGEGATE_PROVIDERS__{provider.upper().replace('-', '_')}__TARGET"


def _without(environ: Mapping[str, str], names: list[str]) -> dict[str, str]:
    hidden = {*names, *(f"{name}_FILE" for name in names)}
    return {name: value for name, value in environ.items() if name not in hidden}
