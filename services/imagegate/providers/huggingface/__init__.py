"""Hugging Face Inference Providers: one router and one key in front of several companies' machines.

- Documentation: https://huggingface.co/docs/inference-providers, who serves which model:
  https://huggingface.co/docs/inference-providers/hub-api.
- Who makes the picture is decided per model: the Hub's mapping names the inference providers that serve it now. Five
  are spoken here, each with its own payload and answer: `hf-inference` (Hugging Face's own), `fal-ai`, `together`,
  `replicate` and `nscale`. What one of them cannot take is told as an adjustment.
- A model may have a dedicated endpoint (https://huggingface.co/docs/inference-endpoints): it is asked for there. Its
  standard container makes pictures from words; with `handler.py`, which nobody here imports, it does every task.
- LoRAs are repositories of the Hub, named by their ids: `fal-ai` and `replicate` lay over a model those that the Hub's
  mapping names, `hf-inference` those whose name it is sent in a header.
- Image to image through the router is not spoken.
- What is served changes without notice; a model that was warm yesterday may be answered 404 or 410 today.
- hf-inference takes a seed but does not report it, and reads any unknown parameter as an error (400).
- One picture per call; there is no queue, no progress, and leaving is the only way to cancel.
"""
