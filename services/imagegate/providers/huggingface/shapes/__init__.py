"""The shapes of a picture's call: what each inference provider is sent, and how its answer is read. Pure.

Behind one router stand several companies, each with an address, a payload and an answer of its own. One module per
company, all of one form (`shape.Shape`), as in huggingface_hub's `inference/_providers`:

================  ===========================================================================
``hf_inference``  Hugging Face's own: a diffusers pipeline's words, answered with the picture
``fal``           flat words, answered with where the picture lies
``together``      OpenAI's address, answered with the picture in base64
``replicate``     a prediction that is waited for, answered with where the picture lies
``nscale``        OpenAI's words and few of them, answered with the picture in base64
``endpoint``      a dedicated endpoint's standard container: hf-inference's words, squares only
``handled``       a dedicated endpoint that runs our handler: every task, one payload
================  ===========================================================================
"""

from collections.abc import Callable, Mapping

from imagegate.providers.huggingface.loras import Adapter
from imagegate.providers.huggingface.shapes import endpoint, fal, handled, hf_inference, nscale, replicate, together
from imagegate.providers.huggingface.shapes.shape import Output, Shape
from imagegate.runtime.order import Order

__all__ = ["BY_ROUTER", "ENDPOINT", "WITH_LORA", "Output", "Shape", "endpoint", "handled"]

# Who is asked through the router, by the Hub's names, the best first: with Hugging Face's own there is no second host;
# fal reports the seed and, like together, takes all that a request can say; replicate takes shapes in place of sizes
# and may be cold; nscale takes neither a seed nor steps.
BY_ROUTER: Mapping[str, Shape] = {
    hf_inference.NAME: hf_inference,
    fal.NAME: fal,
    together.NAME: together,
    replicate.NAME: replicate,
    nscale.NAME: nscale,
}
# Who lays a LoRA over a model where the Hub's mapping of that LoRA says so, the best first: fal takes its weight. What
# their payloads become then.
WITH_LORA: Mapping[str, Callable[[Mapping[str, object], Order, Adapter], dict[str, object]]] = {
    fal.NAME: fal.with_lora,
    replicate.NAME: replicate.with_lora,
}
ENDPOINT = endpoint.NAME
