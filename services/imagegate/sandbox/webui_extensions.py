"""What is installed beside the checkpoints: three LoRAs, and ControlNet 1.1 with models of two families."""

from typing import NamedTuple


class Lora(NamedTuple):
    """A file's name, and what its maker called it."""

    name: str
    alias: str


LORAS = (
    Lora("pixel-art-v2", "pixel-art"),
    Lora("line_drawing", "line_drawing"),
    Lora("more details", "detail"),
)
CONTROL_MODELS = (
    "control_v11f1e_sd15_tile [a371b31b]",
    "control_v11f1p_sd15_depth [cfd03158]",
    "control_v11p_sd15_canny [d14c016b]",
    "control_v11p_sd15_openpose [cab727d4]",
    "thibaud_xl_openpose [c7b9cadd]",
)
# Preprocessors, and whether they work without a model of ControlNet.
CONTROL_MODULES = {
    "none": False,
    "canny": False,
    "depth_midas": False,
    "depth_anything_v2": False,
    "openpose": False,
    "openpose_face": False,
    "openpose_faceonly": False,
    "openpose_full": False,
    "openpose_hand": False,
    "dw_openpose_full": False,
    "tile_resample": False,
    "clip_vision": False,
    "reference_only": True,
}
# Their results are no pictures.
WITHOUT_PICTURE = ("clip_vision",)
UNITS = 3
CONTROLNET_VERSION = 3
# What it adds to the scripts: one that is always on, one that a request may name.
CONTROLNET_SCRIPTS = ("controlnet", "controlnet m2m")


def find_lora(asked: str) -> Lora | None:
    """By name or alias, as the webui finds one."""
    return next((each for each in LORAS if asked in each), None)


def fits(model: str, checkpoint: str) -> bool:
    """Whether a model of ControlNet belongs to the checkpoint's family, by their names."""
    return ("xl" in model) == ("xl" in checkpoint)


def loras() -> list[dict[str, object]]:
    return [
        {
            "name": each.name,
            "alias": each.alias,
            "path": f"/models/Lora/{each.name}.safetensors",
            "metadata": {"ss_output_name": each.alias, "ss_tag_frequency": {"10_art": {"a fox": 12, "a house": 7}}},
        }
        for each in LORAS
    ]


def modules() -> dict[str, object]:
    details = {name: {"model_free": is_free, "sliders": []} for name, is_free in CONTROL_MODULES.items()}
    return {"module_list": list(CONTROL_MODULES), "module_detail": details}
