"""The fixtures of `servers.py` and `faulty.py`, for every test of this folder."""

from tests.llm.faulty import faulty
from tests.llm.servers import llama_server, smollm

__all__ = ["faulty", "llama_server", "smollm"]
