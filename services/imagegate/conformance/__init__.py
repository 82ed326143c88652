"""The conformance kit: whether a process, in whatever language, keeps what a provider has to keep.

``python -m imagegate.conformance HOST:PORT`` asks a provider service over gRPC, with the sandbox in its upstream's
place. What has to be kept is written in ``services/PROVIDER.md``.

=============  ================================================================================
``kit``        everything in order: what is asked, and what is left out and why
``row``        one duty and its verdict
``duty``       a duty, the bench it is tried on, and what was found

``free``       duties that make no picture
``pictures``   duties that make one
``trouble``    duties that need an upstream in trouble: the sandbox
``recorded``   recorded answers of the upstreams, played one by one
``body``       how they are read; the files are in ``bodies/``

``asking``     the requests that are made
``told``       how a call ended
``judging``    what is wrong with a failure or an answer
``catalogue``  what is wrong with a catalogue
``face``       gRPC: the provider
``stand_in``   HTTP: the sandbox
``report``     the table, and the JSON
=============  ================================================================================
"""
