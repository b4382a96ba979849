"""What is to be seen in a picture: by a model of our own (local.py), or by somebody's endpoint (remote.py).

Either decodes the picture in a guarded child (child.py), since it comes from outside. A local model is an ONNX
file as convert.py writes it: it takes `picture`, 1 x 3 x side x side, red, green and blue from 0 to 255, and gives
`heat`, how much each place looks like the middle of each kind of thing (0 to 1), and `reach`, how far a thing
goes from there to the left, up, right and down, in pixels of the side. Its metadata's `labels` is a JSON list.
scripts/fetch-detector makes one.
"""
