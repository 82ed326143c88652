"""The router: tries candidates in order until one delivers, and says truthfully what happened.

What decides is pure: it has no I/O, and takes time and chance as arguments.

| module | what it knows |
| --- | --- |
| config, imagegate.yaml | which providers and routes there are |
| routes | which candidates a requested name means |
| course | one request's way through its candidates: what to do next, after all that has happened |
| ranking | in which order candidates are tried now, and who is passed over |
| eligibility | whom a request may use at all: what it allows, what must not change, what it may cost |
| admission | whom not to ask just now: breaker (its window), gates, latency, warming, rejecting, overrides as one |
| verdict | what a reason means: fall back? count it? leave somebody alone? |
| payment, repeats, budget | what may follow as far as money goes, whether the same again, and how much time it gets |
| shapes | what is found out once for all requests that differ in their words only |
| unsettled | what may still be charged for a request that brought nothing |
| estimate | what a request costs, whoever delivers |
| recommending, offers | which models to use for a purpose, and why; which there are, and which limit keeps them out |

What acts is thin.

| module | what it does |
| --- | --- |
| router | carries out the course of each request |
| endpoint, hops | calls a provider, and how it is reached |
| turns | lets no caller have more under way than it may |
| warmup | waits for a model that is being loaded |
| joining | lets the same request twice be made once |
| batch | makes several requests side by side |
| catalogues | asks again and again what each provider offers |
| lookout, health, reload | what happens while nobody calls |
| events, metrics, inflight, status, history | what happened, for dashboards and people |
| answer, progress, explanation | how it is told: in an answer or an error, in a stream, before it happens |
| generation_service, catalog_service, router_service, admin_service | the gRPC faces |
"""
