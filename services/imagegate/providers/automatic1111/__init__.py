"""AUTOMATIC1111's stable-diffusion-webui, run by oneself and started with --api.

- Documentation: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API; every running one shows its own
  at /docs.
- It corrects silently: unknown fields and checkpoints are ignored, an unknown sampler becomes another one, an unknown
  LoRA none. So what is installed is asked for, and what was used is checked afterwards.
- Its prompts are code: `<lora:name:1>` loads a file. A caller's words are never taken for such an instruction; the LoRAs
  that a request names in their own field are put behind them.
- ControlNet (https://github.com/Mikubill/sd-webui-controlnet) is an extension: controls and poses are offered where it is
  installed, with a model that fits the checkpoint. One that does not fit it leaves out without a word.
- It makes one picture at a time, whoever asks; who leaves stops nothing. Its progress, its previews and its interrupt
  are about whatever it works on, for whomever: they are used only where SD_EXCLUSIVE says that nobody else is there.
- Without --api every path of its API answers 404.
"""
