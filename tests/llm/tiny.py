"""A Llama of two thousand weights that knows a few words, random, and a slow way to ask it."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from warmstart.llm.torch_weights import Weights, frozen

WORDS = "A person liked these films : Would they like too ? . ; Yes or No".split()
WORDS += list("abcdefghijkl")


def tokenizer():
    # "▁Yes" is one token, as in a real vocabulary
    words = ["<unk>", *(f"▁{w}" for w in WORDS), *(w for w in WORDS if not w.isalnum())]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def weights(*, layers=3, seed=0, dtype=torch.float32):
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        tie_word_embeddings=True, initializer_range=0.3, attn_implementation="eager",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return Weights("tiny", frozen(model).to(dtype), tokenizer())
