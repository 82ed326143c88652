"""`models` and `poses`: what there is."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from imagegate.client import exits, output
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.files import Destination
from imagegate.client.plain import plain
from imagegate.client.result import Image
from imagegate.client.stdout import say_json
from imagegate.runtime import images
from imagegate.runtime.models import Task, Tier
from imagegate.v1 import catalog_pb2


def models(
    provider: Annotated[str, typer.Option(metavar="NAME", help="Only this provider's.")] = "",
    task: Annotated[Task | None, typer.Option(case_sensitive=False, help="Only those that can do this.")] = None,
    tier: Annotated[Tier | None, typer.Option(case_sensitive=False, help="Only those of this tier.")] = None,
    use_case: Annotated[str, typer.Option(metavar="WORDS", help="Only those whose use case has all these words.")] = "",
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """List the models: what they make and cost, and what is on."""
    catalogue = ask(
        router,
        lambda client: client.models(provider, task=task or "", tier=tier or "", use_case=use_case, timeout=timeout),
    )
    if as_json:
        say_json(plain(catalogue))
    else:
        output.print_models(output.console(), catalogue)


def poses(
    save: Annotated[str, typer.Option(metavar="FOLDER", help="Write their pictures there.")] = "",
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> int:
    """List the poses that `--control pose=template:NAME` takes."""
    folder = Destination.of(f"{save}/").folder if save else None
    listed = ask(router, lambda client: client.poses(include_images=bool(save), timeout=timeout))
    paths: dict[str, Path] = {}
    if folder is not None:
        paths = {each.name: _saved(each, folder) for each in listed.templates if each.image}
    if as_json:
        shown = plain(listed)
        for template in shown["templates"]:
            del template["image"]
            if template["name"] in paths:
                template["path"] = str(paths[template["name"]])
        say_json(shown)
    else:
        output.print_poses(output.console(), listed, paths)
    return exits.FAILED if listed.message else 0


def _saved(template: catalog_pb2.PoseTemplate, folder: Path) -> Path:
    """Where the picture of a pose was written. Raises CannotWriteError."""
    try:
        mime_type = images.inspect(template.image).mime_type
    except images.NotAPicture:
        mime_type = ""  # whatever it is, it is what the router has
    picture = Image(
        template.image,
        mime_type,
        template.width,
        template.height,
        None,
        hashlib.sha256(template.image).hexdigest(),
        len(template.image),
    )
    return Destination.called(folder, template.name, picture).save([picture], "")[0]
