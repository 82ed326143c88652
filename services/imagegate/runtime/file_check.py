"""What is wrong with files that an operator wrote, said for people or for machines: one way for all kinds of them."""

import json
from collections.abc import Mapping, Sequence


def report(found: Mapping[str, Sequence[str]], *, as_json: bool) -> int:
    """Print every problem by its file; the exit code is 2 where there is one, else 0."""
    if as_json:
        files = [{"file": name, "problems": list(problems)} for name, problems in found.items()]
        print(json.dumps({"files": files}))  # noqa: T201
    else:
        for name, problems in found.items():
            print("\n".join(f"{name}: {problem}" for problem in problems or ["good"]))  # noqa: T201
    return 2 if any(found.values()) else 0
