"""Strict local stand-ins of the upstreams' HTTP APIs, with scripted faults. For tests, demonstrations and drills.

Start one with ``python -m imagegate.sandbox``, or inside a test with ``imagegate.sandbox.app.serving()``.

=========================  ====================================================================
``app``                    everything behind one port: ``make_app``, ``serving``, ``Sandbox``
``control``                ``/_faults``, ``/_requests``, ``/_billing``: how a test scripts and asks
``call``                   one call to an upstream, and what every stand-in offers: ``Upstream``
``faults``                 the rules, and which of them a call meets
``spoiling``               what a fault does to an answer
``ledger``                 what was asked and what was made, in bounded memory
``pictures``               drawings from prompt and seed: the same request gives the same bytes

``huggingface``            the inference router: hf-inference, and four others through it
``huggingface_endpoint``   dedicated endpoints: the standard container
``huggingface_handler``    our handler on such an endpoint
``huggingface_inline``     together and nscale, whose pictures come in their answers
``huggingface_replicate``  Replicate's predictions, whose pictures lie at URLs
``huggingface_hub``        the Hub: who serves a model, whose key this is
``huggingface_key``        what a key may do
``huggingface_lora``       LoRAs on hf-inference
``huggingface_models``     which models are served, by world
``huggingface_pipeline``   what a diffusers pipeline accepts, and how it complains

``fal``                    queue, synchronous calls, storage and CDN
``fal_inputs``             what each app takes
``fal_picture_inputs``     and what those that work with pictures
``fal_fields``             what they have in common
``fal_files``              what clients upload
``fal_drawing``            drawings out of other pictures
``fal_jobs``               the queue
``fal_cdn``                finished pictures at public URLs

``automatic1111``          the self-hosted webui's API
``webui``                  what is installed in it
``webui_extensions``       its LoRAs, and ControlNet's models and preprocessors
``webui_request``          what txt2img and img2img take
``webui_prompt``           what it carries out of a prompt, and what it draws
``webui_canvas``           pictures to begin with, masks and controls, and what they make of a drawing
``webui_controls``         ControlNet: its units, and finding something in a picture
``webui_work``             what one call comes to, and what is said of the pictures
``webui_engine``           one generation at a time
``webui_progress``         how far it is
=========================  ====================================================================
"""
