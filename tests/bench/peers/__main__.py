"""`make bench-peers` ends with this: which peers are there, and which version."""

from bench.peers.running import installed

for name, version in installed().items():
    print(f"{name}: {version or 'absent'}")  # noqa: T201
