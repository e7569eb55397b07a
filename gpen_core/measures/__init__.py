"""What judges restored faces: figures for reports, metrics against originals, whether somebody is still themselves.

These take pictures and callables; nothing that restores depends on them.
"""
