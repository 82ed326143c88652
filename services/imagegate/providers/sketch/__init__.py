"""The reference provider: it draws a sketch of the prompt itself. Read this folder first.

There is no upstream: no network, no key, no cost, and the same prompt, seed and size give the same bytes on one version
of Pillow (https://pillow.readthedocs.io). Nobody can take its pictures for a model's work: they say SKETCH and what was
asked for. So it is good for a first `Generate`, for trying a client, and at the end of a route whose owner prefers a
placeholder to an error. It is on unless switched off, because it is asked only where somebody put it into a route.

Its siblings have a `wire.py`, which knows an upstream's field names. Here is nothing to translate: `drawing.py`
stands in its place, pure as well.
"""
