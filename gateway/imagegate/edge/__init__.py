"""The edge: HTTP in front of the router, for web backends, OpenAI clients and people.

`house` puts it together from the `settings`, `serving` is its port, `app` what is true around every route, `endpoint`
a route as a row of a table, `problem` what is wrong with a call. Families of routes: `openai`, `backend` (/api/ai),
`api` (the page's own), `uploads` (pictures), `page` (the files in `static`), and `health` and `openapi` for anybody.
What they share: `generating` asks the router (`idempotency`: the same twice) and keeps what comes, `routers` are its
replicas, `sse` tells what happens meanwhile. Who may: `keys`, `caller`, `admission`, and `proxies` in between. What
it bears: `connection` and `http_rules`, `body` (`form_of_parts`) and `intake` within a `budget`. What is kept:
`gallery` over `database` (`tables`, `migrations`) and `objects` while there is `room`, `bare` of what came along,
seen by `links` (`byte_range` of it), cleaned by the `janitor`.
"""
