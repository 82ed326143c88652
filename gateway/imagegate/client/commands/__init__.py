"""The commands. Each asks the SDK and prints; nothing is decided here.

| module | commands |
| --- | --- |
| picture, picture_options | generate, explain, and what both take |
| catalog | models |
| recommend | recommend |
| status | status |
| doctor | doctor |
| record | requests, why |
| breaker | breaker open, close, observe, clear, list |
| local | up, sandbox, config check, config show |
| options, asking | what several take, and how they ask |
"""
