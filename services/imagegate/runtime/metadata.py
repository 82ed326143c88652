"""The gRPC metadata that our services give one another, and callers may see."""

# The request's id: from the caller where it likes, in every answer's trailers.
REQUEST_ID_KEY = "imagegate-request-id"
# In the trailers of an error: the bare name of its reason.
REASON_KEY = "imagegate-reason"
# In a provider's initial metadata, the moment it has it: the upstream's id of the work.
UPSTREAM_ID = "imagegate-upstream-id"
# In a provider's trailers: the seconds (decimal) for which the request waited for a slot of the provider's own, behind
# other requests. They say nothing about how long the model takes.
WAITED = "imagegate-waited"
# From the router to a provider: the number of this attempt within the request, from 1.
ATTEMPT_NUMBER = "imagegate-attempt"
# From the router to a provider: another candidate waits, so answer BUSY instead of queueing for long.
FALLBACK_WAITS = "imagegate-fallback-waits"
# From the router to a provider: the seed to take where the request leaves it open, 0 to 2^32 - 1. All attempts of a
# request are told the same one, so that a fallback draws what the first would have drawn as far as models are alike.
DRAWN_SEED = "imagegate-drawn-seed"
# From the router to a provider: the request's pictures have come in through an entrance, so they are clean. Whoever
# says so of others harms only their own request.
INPUTS_ADMITTED = "imagegate-inputs-admitted"
# From the router to a provider: a picture of one colour throughout is no picture (the route's `reject_blank`).
REJECT_BLANK = "imagegate-reject-blank"
# From the router to a provider: who asks, by the name in the router's configuration, and its weight where callers wait
# for a slot. They say something about the order only, and are believed of whoever may call the provider.
CALLER = "imagegate-caller"
CALLER_WEIGHT = "imagegate-weight"
# From a caller who has one: its key, as `Bearer KEY`.
AUTHORIZATION = "authorization"
