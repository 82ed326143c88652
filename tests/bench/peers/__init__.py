"""What people put before image models today, as systems of the benchmark: LiteLLM's proxy, Portkey's gateway.

`make bench-peers` installs them into folders of their own; nothing is downloaded while the benchmark runs.

| module | what it knows |
| --- | --- |
| litellm, portkey | what is installed of it, how it is started and configured, how its callers ask |
| launch | what they have in common: scenarios, a request for a picture, how one is told to start |
| running | which are installed; starts one, and waits until it answers |
| loopback.mjs | keeps Portkey's gateway from other machines |
| litellm.lock, package.json, package-lock.json | what is installed, to the last package (`make lock-peers` renews it) |
"""
