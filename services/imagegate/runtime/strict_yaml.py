"""YAML in which nothing is lost without a word: a key that is written twice is refused."""

from collections import Counter
from collections.abc import Hashable
from typing import Any

import yaml


def parse(text: str) -> Any:
    """The document as plain values.

    Raises yaml.YAMLError where it is not YAML, or a key is written twice. (PyYAML lets ValueError and
    RecursionError through for impossible dates and bottomless nesting; they are YAMLErrors here.)
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 a SafeLoader
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(str(error)) from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that is written twice: plain YAML would forget the first entry without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"written more than once: {', '.join(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep)
