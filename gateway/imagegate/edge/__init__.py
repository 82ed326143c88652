"""The edge: HTTP in front of the router, for web backends, OpenAI clients and people.

`house` puts it together, `app` is what is true around every route, `endpoint` a route as a row of a table. Families of
routes: `openai`, `backend` (/api/ai), `api` (the page's own), `uploads` (pictures), `page` (the files in `static`). Who
may: `keys`, `caller`, `admission`. What it bears: `connection` and `http_rules`, `body` and `intake` within a `budget`.
What is kept: `gallery` over `database` and `objects` while there is `room`, seen by `links`, cleaned by the `janitor`.
"""
