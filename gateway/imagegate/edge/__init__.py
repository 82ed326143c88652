"""The edge: HTTP in front of the router, for web backends, OpenAI clients and people.

`house` puts it together, `app` is what is true around every route, `endpoint` a route as a row of a table. Families of
routes: `openai`, `backend` (/api/ai), `api` (the page's own), `uploads` (pictures). Who may: `keys`, `caller`,
`admission`. What is kept: `gallery` over `database` and `objects` while there is `room`, seen by
`links`, cleaned by the `janitor`.
"""
