"""The ledger: no key, bounded memory."""

from imagegate.sandbox.ledger import MAX_ENTRIES, AskedRequest, Generation, Ledger, clipped, without_keys


def test_no_keys():
    """R14: of a key only its presence and its scheme are kept, whatever header brings it."""
    headers = {"Authorization": "Bearer hf_secret", "X-Api-Key": "s3cret", "Cookie": "a=s3cret", "Accept": "image/png"}
    assert without_keys(headers) == {
        "authorization": "Bearer ***",
        "x-api-key": "***",
        "cookie": "***",
        "accept": "image/png",
    }


def test_bounded():
    """The oldest entries go first, and long strings in bodies are cut at any depth."""
    ledger = Ledger()
    for number in range(MAX_ENTRIES + 5):
        ledger.record(AskedRequest("GET", f"/{number}", {}, {}, None, "fal", ""))
        ledger.settle(Generation("fal", "m", str(number), "", 0, "finished", billed=True))
    assert len(ledger.requests()) == len(ledger.billing()) == MAX_ENTRIES
    assert ledger.requests()[0]["path"] == "/5"
    assert ledger.billing()[-1]["id"] == str(MAX_ENTRIES + 4)
    body = {"prompt": "a fox", "images": ["x" * 1_000_000]}
    assert clipped(body) == {"prompt": "a fox", "images": ["x" * 100 + "… [1000000 characters]"]}
