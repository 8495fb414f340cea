"""Content to vectors: text, images and sound, each with a cache on disk.

`encode` turns a column of contents into vectors through any `Encoder`; the built-in ones are
registered under `warmstart.encoders`, and so is yours.
"""

from warmstart.encoders.cache import VectorCache
from warmstart.encoders.encoder import Encoded, Encoder, Fault, encode

__all__ = ["Encoded", "Encoder", "Fault", "VectorCache", "encode"]
