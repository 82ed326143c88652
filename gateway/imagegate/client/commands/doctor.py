"""`doctor`."""

from typing import Annotated

import typer

from imagegate.client import output
from imagegate.client.client import DEFAULT_TIMEOUT, AsyncClient
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.doctor import Diagnosis, Examination, Makes, Plan, diagnose
from imagegate.client.files import Destination
from imagegate.client.stdout import say_json


def doctor(
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a real small picture of each provider's cheapest model.")
    ] = False,
    all_models: Annotated[
        bool, typer.Option("--all-models", help="Make one of each model that a free question finds nothing against.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 where any model fails, covered or not, or a provider is gone."),
    ] = False,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where those pictures go.")] = ".",
    timeout: Timeout = DEFAULT_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> int:
    """Find out what works, and what to do where it does not.

    Asks the running providers through the router, for free: whether keys are accepted, whether each model exists and
    is warm. Pictures cost credits; how many is said before they are made. The exit code is 1 where a route has no
    candidate that works, though some are switched on.
    """
    plans: list[Plan] = []
    err = output.console(stderr=True)

    def announce(plan: Plan) -> None:
        plans.append(plan)
        if not as_json:
            output.print_plan(err, plan)

    destination = Destination.of(f"{out}/") if generate or all_models else None
    makes = Makes(all_models, destination, announce) if destination is not None else None
    with output.counter(err, "asking the router") as tell:

        async def question(client: AsyncClient) -> Diagnosis:
            return diagnose(await Examination(client, timeout, tell).learn(makes))

        diagnosis = ask(router, question)
    code = diagnosis.exit_code(strict=strict)
    if as_json:
        told = {"pictures": plans[0].to_dict()} if plans else {}
        say_json(diagnosis.to_dict() | told | {"exit_code": code})
    else:
        output.print_diagnosis(output.console(), diagnosis, with_pictures=makes is not None)
    return code
