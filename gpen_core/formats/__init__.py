"""Forms in which other programs keep and run face restorers: ONNX, AOTInductor packages, spandrel's architectures."""
