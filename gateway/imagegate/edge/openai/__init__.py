"""OpenAI's images API, as its own client speaks it.

`images` answers for generations and edits, `models` for the models. What is asked: `schema`, `form`, `mask`, and
`order`, which makes ours of it. What is answered: `answer`, `stream`, `error`.
"""
