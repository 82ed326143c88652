"""The router: tries candidates in order until one delivers, and says truthfully what happened.

| module | what it knows |
| --- | --- |
| config, imagegate.yaml | which providers and routes there are |
| routes | which candidates a requested name means |
| catalogues | what each provider offers, asked for again and again |
| endpoint | how to call a provider |
| budget | how much time an attempt gets |
| admission | whom not to ask just now: breaker (by its window), gates, and the verdict on a reason |
| latency | how long a model usually takes |
| router | the loop over the candidates |
| answer | how the record of the attempts is told, in an answer or an error |
| events, metrics, status | what happened, for dashboards and people |
| service | the gRPC face |
"""
