"""`python -m pyxem_cnn` is the command line `pyxem-cnn`."""

from pyxem_cnn.cli import app

app()
