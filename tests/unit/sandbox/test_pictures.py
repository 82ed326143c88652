"""The sandbox's drawings: the same recipe gives the same bytes, and each fault spoils what it says."""

import io
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from imagegate.sandbox.pictures import SAVE_OPTIONS, Picture, encode, seed_of

FOX = Picture("a fox in the snow", 7, 512, 256)


def opened(picture):
    image = Image.open(io.BytesIO(encode(picture)))
    image.load()
    return image


def test_same_recipe_same_bytes():
    """Prompt, seed, size and format decide every byte, and each of them matters."""
    others = [replace(FOX, prompt="a dog"), replace(FOX, seed=8), replace(FOX, width=520), replace(FOX, format="jpeg")]
    assert encode(FOX) == encode(FOX)
    assert len({encode(picture) for picture in [FOX, *others]}) == 5


@pytest.mark.parametrize("format", sorted(SAVE_OPTIONS))
def test_size_and_format(format):
    """A picture has exactly the size and the format asked for."""
    image = opened(replace(FOX, format=format, width=333, height=71))
    assert (image.size, image.format) == ((333, 71), format.upper())


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_not_uniform(format):
    """A sound picture is far from the 0.02 byte per pixel below which one counts as uniform, a blank one is below."""
    sound = replace(FOX, width=1024, height=1024, format=format)
    assert len(encode(sound)) > 0.05 * 1024**2
    assert len(encode(replace(sound, spoilt="blank"))) < 0.02 * 1024**2


def test_black_and_blank():
    """`black` is all black, `blank` one grey."""
    assert opened(replace(FOX, spoilt="black")).getcolors() == [(512 * 256, (0, 0, 0))]
    assert opened(replace(FOX, spoilt="blank")).getcolors() == [(512 * 256, (128, 128, 128))]


def test_wrong_size():
    """`wrong_size` is a sound picture of another size."""
    assert opened(replace(FOX, spoilt="wrong_size")).size not in [(512, 256), (256, 512)]


def test_truncate():
    """`truncate` is the first half of the sound picture's bytes."""
    data = encode(FOX)
    assert encode(replace(FOX, spoilt="truncate")) == data[: len(data) // 2]


def test_bomb():
    """`bomb` is a small valid PNG that declares 50,000 × 50,000 and really unpacks to that."""
    data = encode(replace(FOX, spoilt="bomb"))
    assert len(data) < 1_000_000
    at, chunks = 8, {}
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        chunk = data[at + 4 : at + 8 + length]
        assert zlib.crc32(chunk) == int.from_bytes(data[at + 8 + length : at + 12 + length])
        chunks[chunk[:4]] = chunk[4:]
        at += 12 + length
    assert chunks[b"IHDR"][:8] == (50_000).to_bytes(4) * 2
    unpacking, size = zlib.decompressobj(), 0
    rest = chunks[b"IDAT"]
    while rest:
        size += len(unpacking.decompress(rest, 1 << 24))
        rest = unpacking.unconsumed_tail
    assert unpacking.eof
    assert size == 50_000 * 6_251


def test_seed_of():
    """A request without a seed gets one from its own content, so that it too gives the same bytes."""
    assert seed_of("a fox", 4) == seed_of("a fox", 4) != seed_of("a fox", 5)
    assert 0 <= seed_of("a fox") < 2**32
