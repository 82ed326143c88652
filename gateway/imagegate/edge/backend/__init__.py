"""The routes of web backends, /api/ai/…, field by field as their guide has them.

`naming` is what they call things, `asked` what they may say and `rules` how it is read; `answered`, `record`,
`catalogue`, `status`, `standing` and `failing` are what they are told: all of these are pure. `exchange` reads bodies
and writes answers, `pictures` makes pictures, `questions` answers what costs nothing, `checks` asks upstreams for it.
"""
