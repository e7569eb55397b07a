"""GPEN for ComfyUI: this folder is the node pack. Everything is imported inside the entry point."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """The pack's extension, which ComfyUI asks for its nodes."""
    from .nodes import GPENExtension

    return GPENExtension()
