"""The RQ door. Nothing here imports Flask."""
