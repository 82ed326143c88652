"""LoRAs on hf-inference: a request header names one, which must be made for the model that is asked.

https://github.com/huggingface/api-inference-community/blob/main/docker_images/diffusers/app/lora.py
"""

from imagegate.sandbox.call import RefusedError
from imagegate.sandbox.huggingface_models import HubModel, find_model


def with_lora(prompt: str, model: HubModel, asked: str | None) -> str:
    """What is drawn when the LoRA `asked` is laid over the model; the prompt alone without one.

    Raises RefusedError: 400 in the backend's words, and for a repository that the Hub does not have its 500.
    """
    if not asked:
        return prompt
    lora = find_model(asked)
    if lora is None:
        why = f"There was an inference error: 404 Client Error. Repository Not Found: {asked}"
        raise RefusedError(500, {"error": "unknown error", "warnings": [why]})
    if not lora.lora_of:
        raise RefusedError(400, {"error": f"Requested adapter {asked} is not a LoRA adapter"})
    if not {model.id, model.formerly} & set(lora.lora_of):
        told = f"Requested adapter {asked} is not a LoRA adapter for base model {model.id}"
        raise RefusedError(400, {"error": told})
    return f"{prompt}, by {lora.id}"
