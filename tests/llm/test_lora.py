"""Adapters against full fine-tuning and slow loops, on a tiny random Llama, and on the real one."""

import json

import numpy as np
import pytest
import torch
from tests.llm import tiny
from torch.func import functional_call

from warmstart.core.errors import ArtifactError, ConfigError, DataError
from warmstart.llm.lists import pack, question
from warmstart.llm.lora import ADAPTER, AdapterConfig, ListScorer

CONFIG = AdapterConfig(rank=2, alpha=6, layers=2)
PROMPTS = [question(["a", "b"], ["c", "d e", "f"]), question(["g"], ["h", "a", "b c"])]


@pytest.fixture
def weights():
    return tiny.weights()


def random_adapter(scorer, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {n: 0.5 * torch.randn(p.shape, generator=draw) for n, p in scorer.named_parameters()}


def one_by_one(model, tokenizer, prompts):
    """Each candidate alone behind its prompt, through the whole model."""
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in (" Yes", " No"))
    out = []
    for prompt in prompts:
        row = []
        for candidate in prompt.candidates:
            ids = [
                *tokenizer(prompt.before, add_special_tokens=False)["input_ids"],
                *tokenizer(candidate, add_special_tokens=False)["input_ids"],
            ]
            logits = model(torch.tensor([ids])).logits[0, -1]
            row.append(logits[yes] - logits[no])
        out.append(torch.stack(row))
    return torch.stack(out)


def product_of(adapter, key):
    """The change of a whole matrix that an adapter stands for."""
    a, b = (adapter[f"base_model/model/model/{key}/lora_{side}/weight"] for side in "AB")
    return b @ a * (CONFIG.alpha / CONFIG.rank)


def keys_of(adapter):
    return sorted({n.removeprefix("base_model/model/model/").split("/lora_")[0] for n in adapter})


def test_a_packed_list_answers_as_each_candidate_alone(weights):
    slow = one_by_one(weights.model, weights.tokenizer, PROMPTS)
    scorer = ListScorer(weights, CONFIG)
    lists = pack(weights.tokenizer, PROMPTS, length=50)
    hidden = scorer.hidden(lists)
    found = scorer.scores(hidden, lists.segment, lists.position, lists.ends)
    torch.testing.assert_close(found, slow, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        scorer(hidden, lists.segment, lists.position, lists.ends), slow.log_softmax(-1)[:, 0],
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip
    assert slow.std() > 0.1


def test_the_order_of_a_list_does_not_matter(weights):
    scorer, turned = ListScorer(weights, CONFIG), [2, 0, 1]
    adapter = random_adapter(scorer)
    scores = []
    for order in ([0, 1, 2], turned):
        asked = [question(["a", "b"], [["c", "d e", "f"][i] for i in order])]
        lists = pack(weights.tokenizer, asked)
        scores.append(scorer.scores_with(adapter, scorer.hidden(lists), lists)[0])
    torch.testing.assert_close(scores[0][turned], scores[1])


def test_an_adapter_is_a_change_of_whole_matrices_and_so_is_its_gradient(weights):
    whole = tiny.weights()  # the same numbers, to be changed in full
    scorer = ListScorer(weights, CONFIG)
    adapter = {n: p.requires_grad_() for n, p in random_adapter(scorer).items()}
    lists = pack(weights.tokenizer, PROMPTS)
    inputs = (scorer.hidden(lists), lists.segment, lists.position, lists.ends)
    loss = -functional_call(scorer, adapter, inputs).mean()
    grads = dict(zip(adapter, torch.autograd.grad(loss, list(adapter.values())), strict=True))
    full = {}
    for key in keys_of(adapter):
        parameter = whole.model.model.get_parameter(f"{key.replace('/', '.')}.weight")
        parameter.data += product_of(adapter, key).detach()
        full[key] = parameter.requires_grad_()
    slow = -one_by_one(whole.model, whole.tokenizer, PROMPTS).log_softmax(-1)[:, 0].mean()
    torch.testing.assert_close(loss, slow, atol=1e-4, rtol=1e-4)
    of_full = dict(zip(full, torch.autograd.grad(slow, list(full.values())), strict=True))
    assert len(full) == 4
    for key, g in of_full.items():
        a, b = (f"base_model/model/model/{key}/lora_{side}/weight" for side in "AB")
        scale = CONFIG.alpha / CONFIG.rank
        torch.testing.assert_close(grads[b], scale * g @ adapter[a].T, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(grads[a], scale * adapter[b].T @ g, atol=1e-4, rtol=1e-3)
        assert g.abs().max() > 1e-3


def test_a_new_adapter_and_none_change_nothing_and_the_base_stays(weights):
    before = {n: p.clone() for n, p in weights.model.state_dict().items()}
    scorer = ListScorer(weights, CONFIG, seed=3)
    lists = pack(weights.tokenizer, PROMPTS)
    hidden = scorer.hidden(lists)
    plain = scorer.scores_with(scorer.nothing(), hidden, lists)
    torch.testing.assert_close(scorer.scores_with(scorer.adapter(), hidden, lists), plain)
    changed = scorer.scores_with(random_adapter(scorer), hidden, lists)
    assert (changed - plain).abs().max() > 0.01
    torch.testing.assert_close(scorer.scores_with(scorer.nothing(), hidden, lists), plain)
    after = {n.replace(".base_layer", ""): p for n, p in weights.model.state_dict().items()}
    for name, value in before.items():
        assert value.equal(after[name]), name
    again = ListScorer(tiny.weights(), CONFIG, seed=3).adapter()
    assert all(p.equal(again[n]) for n, p in scorer.adapter().items())


def test_an_adapter_is_saved_as_peft_reads_it(weights, tmp_path):
    from peft import LoraConfig, PeftConfig, inject_adapter_in_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    scorer = ListScorer(weights, CONFIG)
    adapter = random_adapter(scorer)
    folder = scorer.save_adapter(adapter, tmp_path / "one")
    assert sorted(p.name for p in folder.iterdir()) == ["adapter_config.json", ADAPTER]
    loaded = scorer.load_adapter(folder)
    assert loaded.keys() == adapter.keys()
    assert all(p.equal(adapter[n]) for n, p in loaded.items())
    lists = pack(weights.tokenizer, PROMPTS)
    found = scorer.scores_with(loaded, scorer.hidden(lists), lists)
    other = tiny.weights()
    config = PeftConfig.from_pretrained(folder)
    assert isinstance(config, LoraConfig)
    model = inject_adapter_in_model(config, other.model)
    told = set_peft_model_state_dict(model, load_file(folder / ADAPTER))
    assert not told.unexpected_keys
    slow = one_by_one(model, other.tokenizer, PROMPTS)
    torch.testing.assert_close(found, slow, atol=1e-4, rtol=1e-4)


def test_a_damaged_adapter_is_refused(weights, tmp_path):
    scorer = ListScorer(weights, CONFIG)
    folder = scorer.save_adapter(scorer.adapter(), tmp_path)
    with pytest.raises(ArtifactError, match="cannot be read"):
        scorer.load_adapter(tmp_path / "none")
    other = ListScorer(tiny.weights(), CONFIG.model_copy(update={"rank": 3}))
    with pytest.raises(ArtifactError, match=r"has the shape \(2, 16\) instead of \(3, 16\)"):
        other.load_adapter(folder)
    fewer = ListScorer(tiny.weights(), CONFIG.model_copy(update={"layers": 1}))
    with pytest.raises(ArtifactError, match="has 8 tensors that do not fit the 4"):
        fewer.load_adapter(folder)
    bad = {n: p * float("nan") for n, p in scorer.adapter().items()}
    with pytest.raises(ArtifactError, match="a number that is not finite"):
        scorer.load_adapter(scorer.save_adapter(bad, tmp_path / "bad"))
    (folder / ADAPTER).write_bytes(b"no")
    with pytest.raises(ArtifactError, match="cannot be read"):
        scorer.load_adapter(folder)


def test_what_does_not_fit_is_refused(weights):
    with pytest.raises(ConfigError, match="layers=4, but tiny has 3"):
        ListScorer(weights, AdapterConfig(layers=4))
    with pytest.raises(ConfigError, match="targets="):
        ListScorer(tiny.weights(), AdapterConfig(layers=1, targets=("nowhere",)))
    ListScorer(weights, CONFIG)
    with pytest.raises(ConfigError, match="carries an adapter already"):
        ListScorer(weights, CONFIG)
    with pytest.raises(DataError, match=r"lists of \[1, 2\] candidates"):
        pack(weights.tokenizer, [question([], ["a"]), question([], ["a", "b"])])


def test_long_texts_are_cut_and_their_ends_stay():
    prompt = question(["a"] * 60, ["b c d e f g h a b c"])
    lists = pack(tiny.tokenizer(), [prompt], most_before=20, most_candidate=4)
    assert int((lists.segment == 0).sum()) == 20
    words = tiny.tokenizer().convert_ids_to_tokens(lists.ids[0].tolist())
    assert words[20:] == ["▁b", "▁c", "▁d", "?"]
    asked = tiny.tokenizer()(prompt.before, add_special_tokens=False)["input_ids"]
    assert lists.ids[0, :20].tolist() == asked[-20:]
    assert lists.position[0].tolist() == list(range(24))
    assert np.array_equal(lists.ends.numpy(), [[23]])


def test_settings_of_an_adapter_are_plain(weights, tmp_path):
    folder = ListScorer(weights, CONFIG).save_adapter(ListScorer(tiny.weights(), CONFIG).adapter(),
                                                      tmp_path)  # fmt: skip
    told = json.loads((folder / "adapter_config.json").read_text("utf8"))
    assert (told["r"], told["lora_alpha"], told["peft_type"]) == (2, 6, "LORA")
    assert told["base_model_name_or_path"] is None
