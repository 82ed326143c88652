"""The pictures that are passed on, and who answers with them."""

import io
import json
from base64 import b64decode

import pytest
from PIL import Image

from bench.pictures import SAMPLES, Sample
from bench.upstream import REFUSAL, answer_to

EVERY = pytest.mark.parametrize("sample", SAMPLES.values(), ids=str)
SIZES = {"32 kB": 32_000, "1.2 MB": 1_200_000}


@EVERY
def test_a_sample_is_a_picture_of_the_size_that_its_name_says(sample: Sample) -> None:
    """A real PNG, the same in every run, within a twentieth of its size."""
    with Image.open(io.BytesIO(sample.png)) as picture:
        picture.load()
        assert picture.size == (sample.width, sample.height)
    assert len(sample.png) == pytest.approx(SIZES[sample.name], rel=0.05)
    assert Sample(sample.name, sample.width, sample.height, sample.bits).png == sample.png


@EVERY
def test_every_upstream_answers_with_that_picture(sample: Sample) -> None:
    """The webui's answer holds the very bytes that OpenAI's holds: nobody is given less to do."""
    assert b64decode(json.loads(sample.webui)["images"][0]) == sample.png
    assert b64decode(json.loads(sample.openai)["data"][0]["b64_json"]) == sample.png


def test_the_upstream_behaves_as_its_path_says() -> None:
    """A picture by width or by name, 503, or nothing ever."""
    big = SAMPLES["1.2 MB"]
    told = json.dumps({"width": big.width}).encode()
    assert answer_to("POST", "/webui/sdapi/v1/txt2img", told).endswith(big.webui)
    assert answer_to("POST", "/big/v1/images/generations", b"{}").endswith(big.openai)
    assert answer_to("POST", "/refusing/models/x", b"{}") == REFUSAL
    assert answer_to("POST", "/hanging/models/x", b"{}") == b""
    assert answer_to("GET", "/webui/sdapi/v1/options", b"").startswith(b"HTTP/1.1 200 ")
    assert answer_to("GET", "/hub/api/models/x", b"").startswith(b"HTTP/1.1 404 ")
