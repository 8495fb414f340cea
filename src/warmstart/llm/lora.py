"""LoRA on the last layers of a language model that judges lists, with the adapter as plain tensors.

The adapter sits on some projections of the last layers. What lies below never changes, so its
output is computed once a prompt (`ListScorer.hidden`), and training, adapting and scoring go
through the last layers alone: with 4 of 30, a step costs a seventh. An adapter is a dict of
tensors, and the scorer a module whose only parameters are those, so whatever trains a module
functionally (the learners of `meta`, several adapters at once) trains adapters, and the base is
left alone.

Reference: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, ConfigError, MissingExtraError
from warmstart.llm.lists import Packed, attention
from warmstart.llm.torch_weights import Weights

Adapter = dict[str, Tensor]

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_AT_ONCE = 16  # lists through the layers below


class AdapterConfig(Config):
    """Settings of an adapter.

    Attributes:
        rank: of each update.
        alpha: an update counts alpha / rank times.
        layers: how many of the last layers are adapted.
        targets: which of their projections.
    """

    rank: int = Field(8, ge=1)
    alpha: int = Field(16, ge=1)
    layers: int = Field(4, ge=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")


class ListScorer(nn.Module):
    """Scores the candidates of lists by the log-odds of "Yes" against "No".

    Its parameters are those of one adapter, drawn anew from `seed`: an adapter that changes
    nothing yet. Names are peft's, with `/` for the dot.

    Args:
        weights: whose `model` gets the adapted projections; adapters that are zero change nothing.
        config: settings.
        seed: of the adapter.

    Raises:
        ConfigError: the model has fewer layers, none of the targets, or an adapter already.
        MissingExtraError: peft is not installed.
    """

    def __init__(
        self, weights: Weights, config: AdapterConfig | None = None, *, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = config or AdapterConfig()
        try:
            import peft
        except ImportError:
            raise MissingExtraError("peft", extra="lora") from None
        if any(".lora_" in n for n, _ in weights.model.named_parameters()):
            raise ConfigError(f"{weights.name} carries an adapter already; load the weights again")
        decoder, n = weights.model.model, weights.model.config.num_hidden_layers
        if self.config.layers > n:
            raise ConfigError(f"layers={self.config.layers}, but {weights.name} has {n}")
        low = n - self.config.layers
        chosen = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            target_modules=list(self.config.targets),
            layers_to_transform=list(range(low, n)),
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            try:
                peft.inject_adapter_in_model(chosen, weights.model)
            except ValueError as error:
                raise ConfigError(f"targets={self.config.targets}: {error}") from None
        # held in a tuple, so that the base is no submodule and its weights no parameters of ours
        self._below = (decoder.embed_tokens, decoder.layers[:low], decoder.rotary_emb)
        self._above = (_Above(decoder, low),)
        self._settings: dict[str, Any] = chosen.to_dict()
        found = {k: v for k, v in self._above[0].named_parameters() if ".lora_" in k}
        self._names = {_spelled(k, low): k for k in found}
        for name, key in self._names.items():
            found[key].requires_grad_(False)
            self.register_parameter(name, nn.Parameter(found[key].detach().float().clone()))
        self._dtype = decoder.embed_tokens.weight.dtype
        answers = [_one_token(weights.tokenizer, word) for word in (" Yes", " No")]
        with torch.no_grad():
            yes, no = weights.model.get_output_embeddings().weight[answers].float()
        self._ask = (yes - no,)

    @torch.no_grad()
    def hidden(self, lists: Packed) -> Tensor:
        """Return (lists, tokens, dim) what the layers below the adapter make of the lists."""
        embed, layers, rotary = self._below
        out = []
        for start in range(0, len(lists), _AT_ONCE):
            some = lists.take(slice(start, start + _AT_ONCE))
            x = embed(some.ids)
            out.append(_through(layers, rotary, x, some.segment, some.position))
        return torch.cat(out)

    def last(self, hidden: Tensor, segment: Tensor, position: Tensor) -> Tensor:
        """Return (lists, tokens, dim) what the head reads."""
        # or what stands in for them in a functional call
        mine = dict(self.named_parameters(remove_duplicate=False))
        own: Adapter = {key: mine[name] for name, key in self._names.items()}
        found: Tensor = functional_call(self._above[0], own, (hidden, segment, position))
        return found

    def scores(self, hidden: Tensor, segment: Tensor, position: Tensor, ends: Tensor) -> Tensor:
        """Return (lists, candidates) log-odds of "Yes"; see `Packed` for the arguments."""
        last = self.last(hidden, segment, position)
        at = ends.unsqueeze(-1).expand(*ends.shape, last.shape[-1])
        odds: Tensor = torch.gather(last, -2, at).float() @ self._ask[0]
        return odds

    def forward(self, hidden: Tensor, segment: Tensor, position: Tensor, ends: Tensor) -> Tensor:
        """Return (lists,) log-probability of the first candidate under a softmax over its list."""
        return self.scores(hidden, segment, position, ends).log_softmax(-1)[..., 0]

    def scores_with(self, adapter: Adapter, hidden: Tensor, lists: Packed) -> Tensor:
        """Return (lists, candidates) log-odds with an adapter in place of the scorer's own."""
        return self._with(adapter, "scores", hidden, lists, "ends")

    def last_with(self, adapter: Adapter, hidden: Tensor, lists: Packed) -> Tensor:
        """Return (lists, tokens, dim) what the head reads, with an adapter."""
        return self._with(adapter, "last", hidden, lists)

    @torch.no_grad()
    def _with(
        self, adapter: Adapter, method: str, hidden: Tensor, lists: Packed, *more: str
    ) -> Tensor:
        module = _Calls(self, method)
        weights = {f"scorer.{n}": p for n, p in adapter.items()}
        parts = []
        for start in range(0, len(lists), _AT_ONCE):
            some = lists.take(slice(start, start + _AT_ONCE))
            inputs = [getattr(some, name) for name in ("segment", "position", *more)]
            x = hidden[start : start + _AT_ONCE]
            parts.append(functional_call(module, weights, (x, *inputs)))
        return torch.cat(parts)

    def adapter(self) -> Adapter:
        """Return a copy of the scorer's own adapter."""
        return {n: p.detach().clone() for n, p in self.named_parameters()}

    def nothing(self) -> Adapter:
        """Return an adapter that leaves the model as it is."""
        return {n: torch.zeros_like(p) for n, p in self.named_parameters()}

    def save_adapter(self, adapter: Adapter, folder: str | Path) -> Path:
        """Write an adapter as peft does, so that peft reads it too; nothing in it can run."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {_of_peft(n): p.detach().float().contiguous() for n, p in adapter.items()}
        save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
        settings = dict(self._settings)
        settings |= {"inference_mode": True, "base_model_name_or_path": None}
        text = json.dumps(settings, indent=1, sort_keys=True, default=_plain)
        (folder / ADAPTER_CONFIG).write_text(text + "\n", "utf8")
        return folder

    def load_adapter(self, folder: str | Path) -> Adapter:
        """Read an adapter of this scorer's shape.

        Raises:
            ArtifactError: it is damaged, or of another shape.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(folder) / ADAPTER
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(f"{path} cannot be read: {error}; tune again") from None
        own: Mapping[str, Tensor] = dict(self.named_parameters())
        wanted = {_of_peft(n): n for n in own}
        if found.keys() != wanted.keys():
            raise ArtifactError(
                f"{path} has {len(found)} tensors that do not fit the {len(wanted)} of "
                f"{self.config!r}; give the settings it was tuned with"
            )
        for key, name in wanted.items():
            if found[key].shape != own[name].shape or not bool(found[key].isfinite().all()):
                raise ArtifactError(
                    f"{path}: {key} has the shape {tuple(found[key].shape)} instead of "
                    f"{tuple(own[name].shape)}, or a number that is not finite; tune again"
                )
        return {name: found[key].float() for key, name in wanted.items()}


class _Above(nn.Module):
    """The adapted layers and the last norm."""

    def __init__(self, decoder: Any, low: int) -> None:  # noqa: ANN401
        super().__init__()
        self.layers, self.norm, self.rotary = decoder.layers[low:], decoder.norm, decoder.rotary_emb

    def forward(self, x: Tensor, segment: Tensor, position: Tensor) -> Tensor:
        found: Tensor = self.norm(_through(self.layers, self.rotary, x, segment, position))
        return found


class _Calls(nn.Module):
    """Calls a method of the scorer where `functional_call` calls a module."""

    def __init__(self, scorer: ListScorer, method: str) -> None:
        super().__init__()
        self.scorer, self.method = scorer, method

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = getattr(self.scorer, self.method)(*inputs)
        return found


def _through(layers: Any, rotary: Any, x: Tensor, segment: Tensor, position: Tensor) -> Tensor:  # noqa: ANN401
    mask, turned = attention(segment, x.dtype), rotary(x, position)
    for layer in layers:
        x = layer(x, attention_mask=mask, position_ids=position, position_embeddings=turned)
    return x


def _spelled(key: str, low: int) -> str:
    """Return peft's name of a tensor from its name within the adapted layers."""
    head, number, rest = key.split(".", 2)
    whole = f"base_model.model.model.{head}.{int(number) + low}.{rest}"
    return whole.replace(".default.", ".").replace(".", "/")


def _of_peft(name: str) -> str:
    return name.replace("/", ".")


def _one_token(tokenizer: Any, word: str) -> int:  # noqa: ANN401
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ConfigError(f"the tokenizer cuts {word!r} into {len(ids)} tokens; it must be one")
    return int(ids[0])


def _plain(value: Any) -> Any:  # noqa: ANN401
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
