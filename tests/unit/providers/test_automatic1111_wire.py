"""What the webui is sent, what each of its answers means, and what it says is installed."""

import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from multidict import CIMultiDict

from imagegate.providers.automatic1111 import installed, wire
from imagegate.providers.automatic1111 import progress as progress_of
from imagegate.providers.automatic1111 import prompt as prompt_of
from imagegate.providers.automatic1111.installed import Checkpoint
from imagegate.router.catalogues import MAX_CATALOGUE_BYTES
from imagegate.runtime.answer import Answer
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import fit
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError, load_catalogue
from imagegate.runtime.options import Option
from imagegate.runtime.order import Order
from imagegate.runtime.samplers import Named, Samplers, Sampling
from imagegate.sandbox.webui_request import read_txt2img
from imagegate.v1 import generation_pb2

PACKAGED = load_catalogue("automatic1111", Path(wire.__file__).with_name("models.yaml"))
BASE = Checkpoint("v1-5.safetensors [6ce0161689]", "v1-5", "6ce0161689")


def order_for(prompt="a fox", count=1, **fields) -> Order:
    request = generation_pb2.GenerateRequest(prompt=prompt, **fields)
    model = PACKAGED.find("")
    fitted = fit(request, model, 7)
    return Order(model, prompt, fitted.parameters, Deadline.after(20), count=count, options=fitted.options)


def answer(status, body=b"", **headers) -> Answer:
    """An answer whose body is bytes, or is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, CIMultiDict(headers), content)


def made(*pictures, **info) -> Answer:
    """The webui's success with these pictures."""
    images = [b64encode(each).decode() for each in pictures]
    return answer(200, {"images": images, "parameters": {}, "info": json.dumps(info)})


# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_guides_defaults_are_sent_not_the_apis():
    """U3, P4, R2: 512², 20 steps, cfg 7 and Euler a are always sent, the API's own default being 50; nothing empty."""
    assert wire.to_payload(order_for(negative_prompt="")) == {
        "prompt": "a fox",
        "n_iter": 1,
        "batch_size": 1,
        "width": 512,
        "height": 512,
        "steps": 20,
        "cfg_scale": 7,
        "sampler_name": "Euler a",
        "seed": 7,
        "send_images": True,
        "save_images": False,
        "do_not_save_samples": True,
        "do_not_save_grid": True,
    }


def test_what_is_asked_for_is_sent_within_the_webuis_ranges():
    """R1, U3, P4: 256 to 2048 px, 10 to 50 steps, cfg 1 to 20, and all pictures of an order in one call."""
    payload = wire.to_payload(
        order_for(count=3, width=64, height=4096, steps=5, guidance_scale=0.0, seed=0, negative_prompt="cats")
    )
    sizes = {name: payload[name] for name in ("width", "height", "steps", "cfg_scale", "seed", "n_iter")}
    assert sizes == {"width": 256, "height": 2048, "steps": 10, "cfg_scale": 1, "seed": 0, "n_iter": 3}
    assert payload["negative_prompt"] == "cats"


def test_a_checkpoint_is_selected_for_one_request_only():
    """U3: a checkpoint goes into override_settings, which are taken back; `local` selects none."""
    payload = wire.to_payload(order_for(), BASE.title)
    assert payload["override_settings"] == {"sd_model_checkpoint": BASE.title}
    assert payload["override_settings_restore_afterwards"] is True


OPTIONS = {
    "restore_faces": True,
    "tiling": False,
    "eta": 0.5,
    "s_min_uncond": 1.0,
    "s_churn": 2.0,
    "s_tmin": 0.0,
    "s_tmax": 10.0,
    "s_noise": 1.1,
}


def test_options_go_along_under_the_webuis_names():
    """R1: every option that is declared is sent as asked, and read by the webui; the rest is as without."""
    request = generation_pb2.GenerateRequest()
    request.provider_options["automatic1111"].update(OPTIONS)
    payload = wire.to_payload(order_for(provider_options=request.provider_options))
    assert OPTIONS.keys() == PACKAGED.find("local").options.keys()
    assert payload == {**wire.to_payload(order_for()), **OPTIONS}
    assert read_txt2img(payload).model_dump(include=set(OPTIONS)) == OPTIONS


def test_an_option_never_says_what_we_say():
    """R1: no option changes prompt, size, seed, count, the checkpoint or the way back, or runs a script."""
    order = order_for(negative_prompt="cats", sampler="LMS")
    order.parameters = {**order.parameters, "scheduler": "karras"}
    plain = wire.to_payload(order, BASE.title)
    assert plain.keys() <= wire.OURS
    order.options = dict.fromkeys(wire.OURS, "evil")
    assert wire.to_payload(order, BASE.title) == plain


@pytest.mark.parametrize("name", ["seed", "script_name", "infotext", "send_images", "hr_prompt", "sampler_index"])
def test_a_catalogue_with_an_option_of_ours_is_refused(name):
    """P1: an option that would say what a request says otherwise stops the start, and is named."""
    local = PACKAGED.find("local").model_copy(update={"options": {name: Option(kind="text")}})
    with pytest.raises(CatalogueError, match=rf"local\.options\.{name}"):
        wire.checked(PACKAGED.model_copy(update={"models": (local,)}))


@pytest.mark.parametrize(
    "words",
    [
        "<lora:x:1>",
        "<hypernet:x:1>",
        "<<lora:x:1>lora:y:1>",
        "<lo<lora:x:1>ra:y:1>",
        "<a:b <lora:c:1> >",
        "<lora:x\n:1>",
        "<λόρα:x:1>",
    ],
)
def test_a_caller_cannot_instruct_the_webui(words):
    """U3: no `<word:…>` of a caller's reaches the webui, however it is nested, by the webui's own rule."""
    extra_network = re.compile(r"<(\w+):([^>]+)>")  # as in the webui's extra_networks.py
    payload = wire.to_payload(order_for(f"a {words} fox", negative_prompt=words))
    assert extra_network.search(words)
    assert not extra_network.search(payload["prompt"])
    assert not extra_network.search(payload["negative_prompt"])
    assert prompt_of.tags(words)


@pytest.mark.parametrize("words", ["a fox", "a < b", "I <3 you", "(red:1.3) [a:b:0.5]", "{x|y} \\(z\\)", "a <b> c"])
def test_words_that_are_no_instruction_stay_as_they_are(words):
    """U3: emphasis and ordinary signs are the caller's to use."""
    assert prompt_of.plain(words) == words
    assert prompt_of.tags(words) == []


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_picture_has_the_seed_that_the_webui_used():
    """R2: seeds come from the webui's word on the pictures."""
    pictures = wire.to_pictures(made(b"one", b"two", all_seeds=[5, 6]), order_for(count=2))
    assert [(picture.data, picture.seed) for picture in pictures] == [(b"one", 5), (b"two", 6)]


def test_a_grid_and_detected_maps_are_no_pictures():
    """U3: what stands before the first picture or behind the last one is left out."""
    told = made(b"grid", b"one", b"two", b"map", all_seeds=[5, 6], index_of_first_image=1)
    assert [picture.data for picture in wire.to_pictures(told, order_for(count=2))] == [b"one", b"two"]


@pytest.mark.parametrize("info", ["", "no json", "[1]", '{"all_seeds": ["x", true], "index_of_first_image": "x"}'])
def test_without_a_word_on_the_seed_it_is_the_one_that_was_sent(info):
    """R2: a picture can be made again even where the webui's word is missing or nonsense."""
    told = answer(200, {"images": [b64encode(b"one").decode()], "info": info})
    assert wire.to_pictures(told, order_for())[0].seed == 7


def test_fewer_pictures_than_asked_are_delivered():
    """U3: what somebody else's interrupt left is delivered; that it is fewer is told elsewhere."""
    assert len(wire.to_pictures(made(b"one", all_seeds=[5, 6]), order_for(count=2))) == 1


@pytest.mark.parametrize(
    "told",
    [
        made(),
        answer(200, {}),
        answer(200, []),
        answer(200, b"null"),
        answer(200, b"<html>Sorry</html>"),
        answer(200, {"detail": "the sandbox plays an error at 200"}),
        answer(200, {"images": ["not base64!"]}),
        answer(200, {"images": ["data:image/png;base64,AAAA"]}),
        answer(200, {"images": [3]}),
        answer(200, {"images": ["AAAA"], "info": '{"index_of_first_image": 9}'}),
    ],
)
def test_a_success_without_a_picture_is_bad_output(told):
    """R5: nothing that is not base64 of a picture is taken for one."""
    with pytest.raises(Failure) as failed:
        wire.to_pictures(told, order_for())
    assert (failed.value.reason, failed.value.billed) == (Reason.BAD_OUTPUT, False)
    assert "<" not in failed.value.upstream_message


# ── What an error means ──────────────────────────────────────────────────────────────────────────────────────────────


def exception(kind, detail="", errors=""):
    return {"error": kind, "detail": detail, "body": "", "errors": errors}


VALIDATION = {
    "detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "type_error.integer"}]
}


@pytest.mark.parametrize(
    ("status", "body", "reason", "words", "remedy"),
    [
        (404, {"detail": "Not Found"}, Reason.UNREACHABLE, "Not Found", "--api"),
        (401, exception("HTTPException", "Not authenticated"), Reason.CREDENTIALS_REJECTED, "Not auth", "SD_API_AUTH"),
        (422, VALIDATION, Reason.UPSTREAM_REJECTED_INPUT, "steps: value is not a valid integer", "correct"),
        (422, exception("HTTPException", "Script 'x' not found"), Reason.UPSTREAM_REJECTED_INPUT, "Script 'x'", ""),
        (500, exception("OutOfMemoryError", "", "CUDA out of memory."), Reason.OVERLOADED, "CUDA out", "smaller"),
        (500, exception("RuntimeError", "", "model 'x' not found"), Reason.UPSTREAM_ERROR, "RuntimeError; model", ""),
        (500, b"Internal Server Error", Reason.UPSTREAM_ERROR, "Internal Server Error", "console"),
        (
            500,
            exception("HTTPException", "Invalid encoded image"),
            Reason.UPSTREAM_REJECTED_INPUT,
            "Invalid enc",
            "names",
        ),
        (
            404,
            exception("HTTPException", "Init image not found"),
            Reason.UPSTREAM_REJECTED_INPUT,
            "Init image",
            "names",
        ),
        (524, b"error code: 524", Reason.UPSTREAM_ERROR, "error code: 524", "console"),
        (502, b"<html><body>Bad Gateway</body></html>", Reason.UPSTREAM_ERROR, "Bad Gateway", ""),
        (503, b"", Reason.OVERLOADED, "", "later"),
        (422, {"detail": [{"msg": "no", "loc": 5}]}, Reason.UPSTREAM_REJECTED_INPUT, "no", ""),
        (504, b"", Reason.UPSTREAM_ERROR, "", ""),
        (413, b"", Reason.UPSTREAM_REJECTED_INPUT, "", ""),
        (302, b"", Reason.UPSTREAM_ERROR, "", ""),
    ],
)
def test_every_error_has_one_reason(status, body, reason, words, remedy):
    """R5, R10, U3: each error has its reason, the webui's own words and what to do; a 404 is no missing model."""
    failure = wire.to_error(answer(status, body))
    assert (failure.reason, failure.upstream_status, failure.billed) == (reason, status, False)
    assert failure.dispatch is (Dispatch.UNKNOWN if status in (502, 504, 524) else Dispatch.REFUSED)
    assert words in failure.upstream_message
    assert "<" not in failure.upstream_message
    assert remedy in failure.remedy
    assert failure.remedy


# ── What is installed ────────────────────────────────────────────────────────────────────────────────────────────────

SAMPLERS = answer(
    200,
    [
        {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"], "options": {"scheduler": "karras"}},
        {"name": "Euler a", "aliases": ["k_euler_a", "k_euler_ancestral"], "options": {}},
        {"name": "Euler", "aliases": ["euler a", 3], "options": {}},
        {"name": "LMS", "aliases": None},
        "nonsense",
    ],
)
SCHEDULERS = answer(
    200,
    [
        {"name": "karras", "label": "Karras", "aliases": None},
        {"name": "uniform", "label": "Uniform", "aliases": None},
        {"name": "sgm_uniform", "label": "SGM Uniform", "aliases": ["SGMUniform"]},
    ],
)


def test_what_the_webui_lists_is_read_with_every_spelling():
    """U3: names, aliases and labels, each once in any case; what is no sampler is left out."""
    euler_a = Named("Euler a", ("k_euler_a", "k_euler_ancestral"))
    samplers = (Named("DPM++ 2M", ("k_dpmpp_2m",)), euler_a, Named("Euler", ("euler a",)), Named("LMS"))
    schedulers = (Named("karras"), Named("uniform"), Named("sgm_uniform", ("SGM Uniform", "SGMUniform")))
    assert installed.to_samplers(SAMPLERS, SCHEDULERS) == Samplers(samplers, schedulers)


def test_only_names_that_can_be_told_are_nearest():
    """U3: a webui's list may hold anything; what is no name for a line is not repeated, and comparing stays quick."""
    told = [{"name": "Euler\nforged"}, {"name": "Eulex" * 100_000}, *({"name": f"Euler {n}"} for n in range(5_000))]
    names = installed.to_samplers(answer(200, told), None).nearest("Euler")
    assert len(names) == 3
    assert all(name.isprintable() and len(name) < 20 for name in names)


def test_an_old_webui_knows_the_old_names():
    """U3: before 1.9 there are no schedulers, and their names are part of the samplers'."""
    samplers = answer(200, [{"name": "DPM++ 2M Karras", "aliases": ["k_dpmpp_2m_ka"]}])
    assert installed.to_samplers(samplers, None).find("dpm++ 2m karras") == Sampling("DPM++ 2M Karras")


@pytest.mark.parametrize("told", [answer(200, []), answer(200, {"detail": "x"}), answer(200, b"<html>")])
def test_a_webui_without_samplers_has_failed(told):
    """U3: what cannot be checked is not sent."""
    with pytest.raises(Failure):
        installed.to_samplers(told, None)


def catalogue(*checkpoints, loaded="") -> Catalogue:
    """The catalogue, validated again as a router would."""
    made = installed.to_catalogue(PACKAGED, checkpoints, loaded)
    return Catalogue.model_validate(made.model_dump())


def test_local_is_what_is_loaded():
    """U3: the first model stands for the loaded checkpoint and says which that is; it selects none."""
    found = catalogue(BASE, loaded=BASE.title)
    assert found.find("").key == "local"
    assert "v1-5" in found.find("local").display_name
    assert not found.find("local").wire
    assert found.revision != PACKAGED.revision


def test_each_checkpoint_is_a_model():
    """U3: by its slug, its name or its title, with what `local` takes, and time to be loaded."""
    other = Checkpoint("Dream Shaper/ß.ckpt [abc]", "Dream Shaper_ß", "abc")
    found = catalogue(BASE, other, loaded=BASE.title)
    model = found.find("dream-shaper")
    assert found.find("Dream Shaper_ß") == found.find("Dream Shaper/ß.ckpt [abc]") == model
    assert model.parameters == PACKAGED.find("local").parameters
    assert model.typical_seconds[1] > found.find("v1-5").typical_seconds[1]
    assert installed.find([BASE, other], model) == other


def test_names_that_collide_are_told_apart():
    """U3: whatever files are called, every checkpoint has a key of its own and the catalogue is valid."""
    titles = ["local", "local", "模型", "模型二", "a b", "a-b", "a_b", "...", "A B", "x" * 250]
    found = catalogue(*(Checkpoint(title, title) for title in titles))
    assert len(found.models) == 1 + len(set(titles) - {"local"})


def test_only_what_can_be_told_is_offered():
    """U3: entries without a title, of absurd length or of characters that no wire takes are left out; 200 are kept."""
    told = [
        {"title": "", "model_name": "x"},
        {"title": "x" * 300, "model_name": "x"},
        {"title": "a\ud800", "model_name": "a"},
        {"title": "a\nb", "model_name": "a"},
        {"title": 3, "model_name": "x"},
        None,
        {"title": "good", "model_name": "good", "hash": None},
    ]
    assert installed.to_checkpoints(answer(200, told)) == [Checkpoint("good", "good")]
    many = [{"title": f"t{n}", "model_name": f"n{n}"} for n in range(1000)]
    assert len(installed.to_checkpoints(answer(200, many))) == installed.MAX_CHECKPOINTS


def telling(samplers: Samplers, checkpoints: int) -> list[Samplers]:
    """The samplers that each model of a webui with so many checkpoints tells, and that a router takes all of it."""
    titles = [f"{n:03} {'é' * (installed.MAX_TITLE_CHARACTERS - 4)}" for n in range(checkpoints)]
    made = installed.to_catalogue(PACKAGED, [Checkpoint(each, each) for each in titles], "", samplers=samplers)
    assert sum(model.to_proto().ByteSize() for model in made.models) < MAX_CATALOGUE_BYTES * 0.9
    return [Model.from_proto(model.to_proto()).samplers for model in made.models]


def test_every_model_tells_the_samplers():
    """U3: a router knows of each checkpoint what the webui has."""
    known = installed.to_samplers(SAMPLERS, SCHEDULERS)
    assert telling(known, 3) == [known] * 4


def test_a_catalogue_stays_what_a_router_takes():
    """U3, R1: with the most checkpoints of the longest names samplers are told as far as there is room, and others not
    at all: of a part it would be said that the rest does not exist.
    """
    names = [Named(f"{n:03}{'x' * 61}", (f"alias {n:03}",)) for n in range(200)]
    told = telling(Samplers(tuple(names)), installed.MAX_CHECKPOINTS)
    assert set(told[:5]) == {Samplers(tuple(names))}
    assert set(told[-100:]) == {Samplers()}
    assert set(telling(Samplers((*names, Named("one more"))), 3)) == {Samplers()}


def test_a_checkpoint_is_still_found_when_its_title_gains_a_hash():
    """U3: the webui adds a file's hash to its title when it first loads it."""
    model = catalogue(Checkpoint("new.safetensors", "new")).find("new")
    hashed = Checkpoint("new.safetensors [0123456789]", "new", "0123456789")
    assert installed.find([BASE, hashed], model) == hashed
    assert installed.find([BASE], model) is None


@pytest.mark.parametrize(
    ("info", "matches"),
    [
        ({"sd_model_hash": "6ce0161689", "sd_model_name": "renamed"}, True),
        ({"sd_model_hash": "31e35c80fc", "sd_model_name": "v1-5"}, False),
        ({"sd_model_name": "v1-5"}, True),
        ({"sd_model_name": "sd_xl"}, False),
        ({"sd_model_hash": None, "sd_model_name": None}, True),
        ({}, True),
    ],
)
def test_another_checkpoint_than_asked_is_noticed(info, matches):
    """U3: the webui's word on the picture says which checkpoint made it, by hash or else by name."""
    assert BASE.made(info) is matches


# ── How far it is ────────────────────────────────────────────────────────────────────────────────────────────────────


def at(step=3, steps=10, job_no=0, job_count=2, image=None):
    state = {"job_count": job_count, "job_no": job_no, "sampling_step": step, "sampling_steps": steps}
    return Answer(200, CIMultiDict(), json.dumps({"state": state, "current_image": image}).encode())


@pytest.mark.parametrize(
    ("told", "step", "steps"),
    [
        (at(), 3, 20),
        (at(job_no=1), 13, 20),
        (at(step=0), 0, 20),
        (at(step=99), 10, 20),
        (at(job_no=99), 13, 20),
    ],
)
def test_steps_are_counted_through_all_pictures(told, step, steps):
    """R9: the steps of one picture after the other, never more than there are."""
    progress = progress_of.to_progress(told, 2)
    assert (progress.step, progress.steps, progress.picture) == (step, steps, b"")


@pytest.mark.parametrize(
    "told",
    [
        at(job_count=0),
        at(job_count="1"),
        at(steps=0),
        at(steps=10**12),
        at(steps=None),
        at(step=-1),
        at(step=1.5),
        at(job_no=None),
        Answer(200, CIMultiDict(), b"[]"),
        Answer(200, CIMultiDict(), b"<html>"),
        Answer(200, CIMultiDict(), b'{"state": 1}'),
    ],
)
def test_what_says_nothing_of_steps_is_not_told(told):
    """R9: an idle webui, and one whose answer means nothing, tell no progress."""
    assert progress_of.to_progress(told, 2) is None


@pytest.mark.parametrize(
    ("image", "picture"),
    [
        (b64encode(b"bytes").decode(), b"bytes"),
        ("no base64!", b""),
        (7, b""),
        ("A" * (progress_of.MAX_PREVIEW_CHARACTERS + 4), b""),
    ],
)
def test_a_preview_is_what_can_be_decoded(image, picture):
    """R9, R14: a preview that is none, or too large, is left out; the steps are told all the same."""
    progress = progress_of.to_progress(at(image=image), 2)
    assert (progress.step, progress.picture) == (3, picture)
