"""`recommend`."""

from typing import Annotated, get_args

import typer

from imagegate.client import output
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.fields import QualityName, TaskName, TierName
from imagegate.client.plain import plain
from imagegate.client.stdout import say_json

TASKS = ", ".join(task.lower() for task in get_args(TaskName))


def recommend(
    use_case: Annotated[str, typer.Option(metavar="WORDS", help='What for, as in "fast drafts" or "artistic".')] = "",
    task: Annotated[
        TaskName, typer.Option(metavar="TASK", case_sensitive=False, show_default=False, help=f"One of {TASKS}.")
    ] = "TEXT_TO_IMAGE",
    max_credits: Annotated[int | None, typer.Option(help="The most for one picture of its usual size.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="The most that a picture usually takes.")] = None,
    min_quality: Annotated[
        QualityName | None, typer.Option(metavar="sd|hd|ultra|premium", case_sensitive=False, help="The least quality.")
    ] = None,
    tier: Annotated[TierName | None, typer.Option(help="Only models up to this tier.")] = None,
    limit: Annotated[int | None, typer.Option(help="How many to name, 1 to 50 [5].")] = None,
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """Say which models to use for a purpose, best first, and why."""
    answer = ask(
        router,
        lambda client: client.recommend(
            task=task,
            max_credits=max_credits,
            max_seconds=max_seconds,
            min_quality=min_quality,
            use_case=use_case,
            tier=tier,
            limit=limit,
            timeout=timeout,
        ),
    )
    if as_json:
        say_json(plain(answer))
    else:
        output.print_recommendations(output.console(), answer)
