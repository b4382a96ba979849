"""The provider that makes 3D models itself: relief from a picture, new colours for a model, sprites of it.

provider.py is the parent's side and loads no numeric library; all else runs in a guarded child, by the
functions of steps.py.
"""
