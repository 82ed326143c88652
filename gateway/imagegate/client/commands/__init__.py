"""The commands. Each asks the SDK and prints; nothing is decided here.

| module | commands |
| --- | --- |
| picture, picture_options, input_options | generate, explain, and what both take |
| batch, batch_file | batch, and the requests in its file |
| catalog | models, poses |
| recommend | recommend |
| status | status |
| doctor | doctor |
| record | requests, why |
| breaker | breaker open, close, observe, clear, list |
| edge | open, key |
| local | up, sandbox, config check, config show |
| options, asking | what several take, and how they ask |
"""
