"""OpenAI's images API, as its own client speaks it."""
