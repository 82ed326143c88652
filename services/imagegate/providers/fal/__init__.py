"""fal: generation as a service, through its queue.

- Documentation: https://fal.ai/docs/model-apis/inference/queue, errors: https://fal.ai/docs/model-apis/errors,
  what a model takes: https://fal.ai/models/fal-ai/flux/dev/llms.txt (the same path for every other one).
- A picture takes three steps: submit, ask until completed, fetch. The answer to the submission names the URLs for
  the rest; they lack the last part of the model's id, so they cannot be built from it.
- The queue knows no failed state: a failure is COMPLETED, and the result replays the model's own status and body.
- There is an app for each task, at a path of its own. What it works with is inside the submission as a data: URI, or in
  fal's storage: a token of the REST API lets the CDN take a file, which lies at a public URL then.
- A finished picture lies on a CDN under a public URL, which is fetched without the key.
- No call is documented to tell for free that a key works. The status of a request that there never was is taken for
  one: 404 means that fal took the key and found no request, 401 that it did not take the key.
- What was submitted can be cancelled with proof. Until then it costs, whether or not anybody still waits.
"""
