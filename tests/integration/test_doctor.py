"""`imagegate doctor` in front of the sandbox and the real providers: it finds each incident and names the remedy."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagegate.router.config import ModelOverrides
from imagegate.runtime.models import Model
from imagegate.sandbox.app import Sandbox
from imagegate.testing import SCRIPTED_MODEL, ScriptedProvider, serving_provider, serving_router
from imagegate.testing.sandboxed import serving_sandboxed

NOBODY = "127.0.0.1:1"
ROUTES = {
    "default": ["huggingface/default", "fal/flux-schnell", "automatic1111/local"],
    "avatar": ["huggingface/flux-dev", "huggingface/flux-schnell"],
}
SCHNELL, DEV = "huggingface/flux-schnell", "huggingface/flux-dev"


async def imagegate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one command, as a process of its own, to its end."""
    command = [sys.executable, "-m", "imagegate.client", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What `doctor --json` printed, and its exit code."""

    code: int
    told: Mapping[str, Any]

    def row(self, model: str) -> Mapping[str, Any]:
        """The row of one model."""
        return next(row for row in self.told["models"] if row["model"] == model)

    def key(self, provider: str) -> str:
        """How a provider's key is."""
        return str(next(row["key"] for row in self.told["providers"] if row["name"] == provider))

    @property
    def works(self) -> dict[str, str]:
        """Each model, and whether it works."""
        return {row["model"]: row["works"] for row in self.told["models"]}

    @property
    def routes(self) -> dict[str, bool]:
        """Each route, and whether it works."""
        return {row["name"]: row["works"] for row in self.told["routes"]}


async def examined(router: str, *options: str) -> Report:
    """What the doctor says of a router."""
    done = await imagegate("doctor", "--json", "--router", router, *options)
    assert done.stderr == ""
    return Report(done.returncode, json.loads(done.stdout))


@dataclass(slots=True)
class Surgery:
    """A running system, and the doctor."""

    sandbox: Sandbox
    router: str
    folder: Path

    async def doctor(self, *options: str) -> Report:
        """What the doctor says."""
        return await examined(self.router, "--out", str(self.folder), *options)

    def files(self) -> dict[str, int]:
        """The files in the folder, and how many bytes each has."""
        return {str(path): path.stat().st_size for path in self.folder.iterdir()}

    def spoil(self, **rule: object) -> None:
        """Spoil Hugging Face's answers, unless the rule says whose."""
        self.sandbox.faults([{"upstream": "huggingface", **rule}])


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Starts providers with `environ`, and a router."""

    @asynccontextmanager
    async def surgery(
        routes: Mapping[str, list[str]] = ROUTES, overrides: ModelOverrides | None = None, **environ: str
    ) -> AsyncIterator[Surgery]:
        async with (
            serving_sandboxed(environ=environ) as running,
            serving_router(running.targets, routes, overrides=overrides) as router,
        ):
            yield Surgery(running.sandbox, router.target, tmp_path)

    return surgery


async def test_all_is_well_for_free(opened: Any) -> None:
    """R12: by default nothing is made or paid; each key is shown by its variable, each model by whether it is warm."""
    async with opened() as surgery:
        report = await surgery.doctor()
        assert surgery.sandbox.billing() == []
    assert (report.code, report.routes) == (0, {"avatar": True, "default": True})
    assert report.key("huggingface") == "set (HUGGINGFACE_API_KEY)"
    assert report.key("fal") == "set (FAL_KEY)"
    assert report.key("automatic1111") == "needs none"
    assert report.row(SCHNELL)["status"] == "warm"
    assert report.row("fal/flux-schnell")["status"] == "key accepted"
    assert "pictures" not in report.told
    assert surgery.files() == {}


async def test_a_picture_of_the_cheapest_of_each_provider(opened: Any) -> None:
    """R12: --generate makes a small picture of each provider's cheapest model, saves it, and says what it cost."""
    async with opened() as surgery:
        report = await surgery.doctor("--generate")
        assert len(surgery.sandbox.billing()) == 3
    made = [row for row in report.told["models"] if "file" in row]
    assert [row["model"] for row in made] == report.told["pictures"]["models"]
    assert {row["model"].partition("/")[0] for row in made} == {"huggingface", "fal", "automatic1111"}
    assert sum(row["cost"] for row in made) == report.told["pictures"]["credits"]
    for row in made:
        assert surgery.files()[row["file"]] == row["bytes"]
        assert row["content_type"].startswith("image/")
        assert (row["works"], row["differences"]) == ("ok", [])
    assert report.code == 0


async def test_r1_a_parameter_that_the_upstream_refuses(opened: Any) -> None:
    """R1, R12: the upstream's words name the parameter, and the remedy the catalogue's entry; a fallback covers it."""
    words = "FluxPipeline.__call__() got an unexpected keyword argument 'lora'"
    async with opened() as surgery:
        surgery.spoil(fault="status", code=400, body={"error": words}, model="*FLUX.1-schnell", method="POST")
        report = await surgery.doctor("--all-models")
    row = report.row(SCHNELL)
    assert (row["reason"], row["status"]) == ("UPSTREAM_REJECTED_INPUT", "400 UPSTREAM_REJECTED_INPUT")
    assert words in row["upstream_message"]
    assert "IMAGEGATE_MODELS" in " ".join(row["notes"])
    # The route avatar has nobody else: flux-dev is refused to a free key.
    assert (row["works"], report.routes, report.code) == ("failed", {"avatar": False, "default": True}, 1)


async def test_r3_a_model_that_is_refused_to_a_free_key_is_covered(opened: Any) -> None:
    """R3, R12: a warning that names the way to a PRO key and who takes over; with --strict it is a failure."""
    async with opened() as surgery:
        report = await surgery.doctor("--all-models")
        strict = await surgery.doctor("--all-models", "--strict")
    row = report.row(DEV)
    assert (row["works"], row["reason"], row["upstream_status"]) == ("warning", "MODEL_ACCESS_DENIED", 400)
    assert row["upstream_message"] == "Model requires PRO subscription"
    assert "PRO" in row["remedy"]
    assert row["notes"] == [f"covered by {SCHNELL}"]
    assert (report.code, strict.code) == (0, 1)
    # Afterwards the router passes it over, and the doctor still knows why.
    assert strict.row(DEV)["reason"] == "MODEL_ACCESS_DENIED"


async def test_r4_json_in_a_pictures_place(opened: Any) -> None:
    """R4, R12: an answer that is no picture is found, and never saved as one."""
    async with opened({"default": [SCHNELL, "automatic1111/local"]}) as surgery:
        surgery.spoil(fault="json_200", method="POST")
        report = await surgery.doctor("--all-models")
    row = report.row(SCHNELL)
    assert (row["works"], row["reason"]) == ("warning", "BAD_OUTPUT")
    assert row["remedy"]
    assert "content_type" not in row
    assert not [path for path in surgery.files() if "huggingface" in path]


async def test_r4_a_refused_accept_header(opened: Any) -> None:
    """R4, R12: the incident's own words are shown."""
    async with opened() as surgery:
        words = 'Accept type "application/json" not supported'
        surgery.spoil(fault="status", code=400, body={"error": words}, method="POST")
        report = await surgery.doctor("--all-models")
    assert report.row(SCHNELL)["upstream_message"] == words


async def test_r7_a_model_that_never_existed(opened: Any) -> None:
    """R7, R12: found for free, before the first user does: in a route, and by FLUX_MODEL; the remedy names others."""
    routes = {"default": ["fal/flux-1-dev"], "avatar": [DEV, SCHNELL]}
    async with opened(routes, ModelOverrides(flux_model="fal-ai/flux-dev")) as surgery:
        report = await surgery.doctor()
        assert surgery.sandbox.billing() == []
    row = report.row("fal/flux-1-dev")
    assert (row["works"], row["reason"]) == ("failed", "MODEL_NOT_FOUND")
    assert "fal/flux-dev" in row["message"]
    row = report.row("huggingface/fal-ai/flux-dev")
    assert (row["works"], row["reason"]) == ("warning", "MODEL_NOT_FOUND")
    assert row["remedy"]
    assert (report.routes, report.code) == ({"avatar": True, "default": False}, 1)


async def test_r7_a_model_that_only_a_picture_shows_to_be_missing(opened: Any) -> None:
    """R7, R12: fal does not say for free what it serves; its 404 at a picture is the model's, not the provider's."""
    async with opened({"default": ["fal/flux-pro", "fal/flux-schnell"]}) as surgery:
        gone = {"upstream": "fal", "fault": "status", "code": 404, "body": {"detail": "Path /v1.1 not found"}}
        surgery.spoil(**gone, model="fal-ai/flux-pro*", method="POST")
        report = await surgery.doctor("--all-models")
    row = report.row("fal/flux-pro")
    assert (row["works"], row["reason"], row["upstream_status"]) == ("warning", "MODEL_NOT_FOUND", 404)
    assert row["remedy"]
    assert report.works["fal/flux-schnell"] == "ok"


async def test_where_a_model_is_served_instead(opened: Any) -> None:
    """R12: a model that nobody spoken serves is told with those whom the Hub's mapping names."""
    mapping = {"somebody-else": {"status": "live", "providerId": "x/y", "task": "text-to-image"}}
    async with opened() as surgery:
        body = {"id": "black-forest-labs/FLUX.1-dev", "inferenceProviderMapping": mapping}
        rule = {"upstream": "huggingface-hub", "fault": "status", "code": 200, "body": body}
        surgery.spoil(**rule, model="*FLUX.1-dev")
        report = await surgery.doctor()
    row = report.row(DEV)
    assert row["reason"] == "MODEL_NOT_FOUND"
    assert "somebody-else" in f"{row['message']} {row['remedy']}"


async def test_r8_a_cold_model_is_warming_and_no_failure(opened: Any) -> None:
    """R8, R12: shown with its estimate, also by the free questions that follow; --strict has nothing against it."""
    async with opened({"default": [SCHNELL]}) as surgery:
        surgery.spoil(fault="loading", seconds=400, method="POST")
        report = await surgery.doctor("--all-models", "--strict")
        after = await surgery.doctor("--strict")
    row = report.row(SCHNELL)
    assert (row["works"], row["reason"], row["ready_in"]) == ("warning", "MODEL_LOADING", 400)
    assert row["status"] == "warming, ready in about 400 s"
    assert row["remedy"]
    assert report.routes == {"default": True}
    assert (after.row(SCHNELL)["works"], after.row(SCHNELL)["reason"]) == ("warning", "WARMING")
    assert 300 < after.row(SCHNELL)["ready_in"] <= 400


@pytest.mark.parametrize(
    ("provider", "variable", "key"),
    [
        ("huggingface", "HUGGINGFACE_API_KEY", "hf_revoked_marked"),
        ("fal", "FAL_KEY", "revoked:marked"),
    ],
)
async def test_a_revoked_key(opened: Any, provider: str, variable: str, key: str) -> None:
    """R12: found for free; every model of that provider fails, the remedy says where to get a key and which variable
    takes it. R14: nothing of the key is shown.
    """
    async with opened({"default": [f"{provider}/flux-schnell", "automatic1111/local"]}, **{variable: key}) as surgery:
        report = await surgery.doctor()
        assert surgery.sandbox.billing() == []
    assert report.key(provider) == f"refused ({variable})"
    row = report.row(f"{provider}/flux-schnell")
    assert (row["works"], row["reason"], row["upstream_status"]) == ("warning", "CREDENTIALS_REJECTED", 401)
    assert variable in row["remedy"]
    assert "https://" in row["remedy"]
    assert report.code == 0


@pytest.mark.parametrize(
    ("provider", "variable", "key"),
    [("huggingface", "HUGGINGFACE_API_KEY", "hf_broke_marked"), ("fal", "FAL_KEY", "broke:marked")],
)
async def test_an_account_without_credit(opened: Any, provider: str, variable: str, key: str) -> None:
    """R12: one picture shows it of every model of the account; the remedy says where to buy credit."""
    async with opened({"default": [f"{provider}/flux-schnell", f"{provider}/flux-dev"]}, **{variable: key}) as surgery:
        report = await surgery.doctor("--generate")
    assert report.key(provider) == f"set ({variable})"
    for name in ("flux-schnell", "flux-dev"):
        row = report.row(f"{provider}/{name}")
        assert (row["works"], row["reason"]) == ("failed", "OUT_OF_CREDIT"), name
        assert "https://" in row["remedy"]
    assert (report.routes, report.code) == ({"default": False}, 1)


async def test_what_is_off_is_no_failure(opened: Any) -> None:
    """R10, R12: a provider without its key is off, and says which variable switches it on; --strict does not mind."""
    async with opened(FAL_KEY="", SD_ENABLED="false") as surgery:
        report = await surgery.doctor("--strict")
    assert report.key("fal") == "not set (FAL_KEY)"
    row = report.row("fal/flux-schnell")
    assert (row["works"], row["status"]) == ("off", "off")
    assert "FAL_KEY" in row["remedy"]
    assert report.row("automatic1111/local")["works"] == "off"
    assert "reason" not in row


async def test_a_webui_that_does_not_run_and_a_password_that_is_named(opened: Any) -> None:
    """R12: a webui that was switched on and does not answer is found, with the flag that starts it."""
    async with opened(SD_API_URL=f"http://{NOBODY}", SD_API_AUTH="user:password") as surgery:
        report = await surgery.doctor()
    row = report.row("automatic1111/local")
    assert (row["works"], row["reason"]) == ("warning", "UNREACHABLE")
    assert "--api" in row["remedy"]
    assert report.key("automatic1111") == "set (SD_API_AUTH)"


async def test_no_part_of_a_key_is_shown(opened: Any) -> None:
    """R14: whatever the upstream does with the key, nothing of it is printed, to people or to programs."""
    keys = {
        "HUGGINGFACE_API_KEY": "hf_k3Yq9ZrT7wPmX2vL",
        "FAL_KEY": "k3Yq9ZrT:7wPmX2vLs8Qd",
        "SD_API_AUTH": "me:7wPmX2vL",
    }
    async with opened(**keys) as surgery:
        echo = {"error": f"bad key {keys['HUGGINGFACE_API_KEY']} (k3Yq9ZrT)"}
        surgery.spoil(fault="status", code=400, body=echo, method="POST")
        for options in (("--json",), ()):
            place = ("--out", str(surgery.folder), "--router", surgery.router)
            done = await imagegate("doctor", "--all-models", *options, *place)
            told = done.stdout + done.stderr
            assert "HUGGINGFACE_API_KEY" in told
            for part in ("hf_k3Yq9ZrT7wPmX2vL", "7wPmX2vL", "k3Yq9ZrT"):
                assert part not in told


async def test_a_provider_whose_process_is_gone() -> None:
    """R12: it is told where it was looked for; its candidates, though no catalogue has them, fail in their route."""
    async with serving_router({"fal": NOBODY}, {"default": ["fal/flux-schnell"]}) as router:
        report = await examined(router.target)
    assert NOBODY in report.told["providers"][0]["problem"]
    assert report.key("fal") == "not known"
    row = report.row("fal/flux-schnell")
    assert (row["works"], row["reason"]) == ("failed", "UNREACHABLE")
    assert "providers.fal.target" in row["remedy"]
    assert report.code == 1


async def test_a_model_priced_by_nobody(tmp_path: Path) -> None:
    """R12: what costs nobody knows how much is made only where there is no other, and that is said before."""
    unpriced = SCRIPTED_MODEL.model_copy(update={"credits": None})
    both = (unpriced, Model(**{**unpriced.model_dump(), "key": "other", "upstream_model": "scripted/other"}))
    for models, made in (((unpriced,), 1), (both, 0)):
        provider = ScriptedProvider("a", models=models)
        async with (
            serving_provider(provider) as served,
            serving_router({"a": served.target}, {"default": ["a/model"]}) as router,
        ):
            done = await imagegate("doctor", "--generate", "--out", str(tmp_path), "--router", router.target)
        assert (done.returncode, len(provider.orders)) == (0, made)
        assert ("the price of a/model is not known" in done.stderr) == bool(made)
        assert ("none of a: of none of its models the price is known" in done.stderr) == (not made)


async def test_no_router_is_trouble_for_later() -> None:
    """Where the router cannot be asked the exit code is 75, as everywhere; a folder that is none is 2."""
    done = await imagegate("doctor", "--router", NOBODY)
    assert (done.returncode, done.stdout) == (75, "")
    assert "imagegate up" in done.stderr
    assert (await imagegate("doctor", "--generate", "--out", "/proc", "--router", NOBODY)).returncode == 2
