"""The edge's own family of routes, which its page uses.

`family` lists them. Who asks: `account`. Pictures: `generations` (their body: `schema` and `picture_source`, over
`strict`; what becomes of it: `ordering`) and `pictures`, the gallery, both shown as `record` has it. What there is:
`catalogue`. How it is going: `status` over `board`, which keeps `samples` and shows replicas as `replica_view` has it;
`breakers` decides. `answering` shows our models.
"""
