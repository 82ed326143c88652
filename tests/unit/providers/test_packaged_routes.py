"""The packaged routes against the packaged models."""

from pathlib import Path

import pytest

import imagegate.providers
import imagegate.router.config as configuration
from imagegate.router.config import ModelOverrides
from imagegate.router.routes import Candidate, resolve
from imagegate.runtime.models import Task
from imagegate.runtime.models_file import load_catalogue
from imagegate.v1 import terms_pb2

CONFIG = configuration.load(configuration.PACKAGED)
CATALOGUES = {
    name: load_catalogue(name, Path(imagegate.providers.__path__[0]) / name / "models.yaml")
    for name in CONFIG.providers
}


def candidates(route: str) -> list[Candidate]:
    """All that a route means, whatever quality is asked for."""
    found = [
        resolve(route, CONFIG, ModelOverrides(), CATALOGUES, each).candidates for each in terms_pb2.Quality.values()
    ]
    return [candidate for each in found for candidate in each]


@pytest.mark.parametrize("route", CONFIG.routes)
def test_every_candidate_of_a_packaged_route_is_a_packaged_model(route: str) -> None:
    """R7, R10: no route names a model that there is not."""
    assert [str(each) for each in candidates(route) if each.model is None or not each.listed] == []


@pytest.mark.parametrize(
    ("route", "task"),
    [("edit", "image_to_image"), ("identity", "identity"), ("pose-extraction", "pose_extraction")],
)
def test_a_route_for_a_task_has_models_that_do_it(route: str, task: Task) -> None:
    """P3: what a webui can do depends on what is installed in it; everybody else does what the route is for."""
    elsewhere = [each for each in candidates(route) if each.provider != "automatic1111" and each.model is not None]
    assert elsewhere
    assert [str(each) for each in elsewhere if each.model is not None and task not in each.model.tasks] == []


def test_a_pose_is_kept_to_without_a_local_engine() -> None:
    """P2, P3: whatever the quality, somebody keeps to a pose who needs neither a webui nor a dedicated endpoint."""
    for quality in terms_pb2.Quality.values():
        found = resolve("pose", CONFIG, ModelOverrides(), CATALOGUES, quality).candidates
        able = [each.model for each in found if each.model is not None and "control_openpose" in each.model.tasks]
        assert [model.key for model in able if model.enabled and model.provider != "automatic1111"]
