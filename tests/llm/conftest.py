"""The fixtures of `servers.py`, for every test of this folder."""

from tests.llm.servers import llama_server, smollm

__all__ = ["llama_server", "smollm"]
