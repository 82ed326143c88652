"""What is wrong with a catalogue, by the contract. Pure."""

from pydantic import ValidationError

from imagegate.runtime.models import Catalogue, Model
from imagegate.v1 import catalog_pb2


def read_catalogue(listed: catalog_pb2.ListModelsResponse) -> tuple[Catalogue | None, list[str]]:
    """The catalogue of the one provider that `listed` tells of, and what is wrong with it."""
    if len(listed.providers) != 1:
        return None, [f"one provider is due, {len(listed.providers)} came"]
    (provider,) = listed.providers
    problems = [
        f"{model.key} is of the provider {model.provider!r}"
        for model in listed.models
        if model.provider != provider.name
    ]
    problems += [] if provider.name else ["the provider has no name"]
    problems += [] if provider.catalogue_revision else ["catalogue_revision is empty"]
    problems += [] if provider.enabled or provider.disabled_reason else ["it is off and does not say why"]
    try:
        catalogue = Catalogue(
            provider=provider.name,
            models=tuple(Model.from_proto(model) for model in listed.models),
            outside=Model.from_proto(provider.outside_catalogue) if provider.HasField("outside_catalogue") else None,
            outside_pattern=provider.outside_pattern or "^$",
        )
    except ValidationError as error:
        return None, problems + [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    except ValueError as error:
        return None, [*problems, str(error)]
    if catalogue.find("") is None:
        problems.append("no model is on")
    return catalogue, problems
