"""A saved model loads and recommends with NumPy alone."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVE = """
import json, sys
{guard}
import warmstart as ws
model = ws.load(sys.argv[1])
found = [[r.item, r.rank, round(r.score, 4), r.reason] for r in model.recommend(
    [7, 9], user={{"age": 30}}, k=8)]
lists = model.recommend_batch({{"user": ["a", "b"], "item": [3, 5]}}, k=4)
model.add_items({{"item": [901], "genres": ["Drama"]}})
similar = [r.item for r in model.similar_items(7, k=3)]
assert model.next_question([7], policy="reinforce").item not in (7, 901)
heavy = [m for m in ("torch", "implicit", "jaxtyping", "matplotlib") if m in sys.modules]
print(json.dumps([found, [list(x) for x in lists], similar, heavy]))
"""
GUARD = """
class Barrier:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "implicit", "jaxtyping", "matplotlib", "pandas",
                                      "polars", "sklearn", "beartype", "threadpoolctl"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Barrier())
"""


def expected(model):
    found = [
        [r.item, r.rank, round(r.score, 4), r.reason]
        for r in model.recommend([7, 9], user={"age": 30}, k=8)
    ]
    lists = model.recommend_batch({"user": ["a", "b"], "item": [3, 5]}, k=4)
    return [found, [list(items) for items in lists]]


def served(python, model, folder, guard=""):
    code = SERVE.format(guard=guard)
    command = [str(python), "-c", code, str(model.save(folder / "model"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(found, model):
    *lists, similar, heavy = found
    for (item, rank, score, why), (item_, rank_, score_, why_) in zip(
        lists[0], expected(model)[0], strict=True
    ):
        assert (item, rank, why) == (item_, rank_, why_)
        assert score == pytest.approx(score_, abs=2e-3)
    assert lists[1] == expected(model)[1]
    assert len(similar) == 3
    assert heavy == []


def test_where_torch_cannot_be_imported(model, tmp_path):
    assert_same(served(sys.executable, model, tmp_path, GUARD), model)


def test_training_without_torch_names_the_line_to_install(tmp_path):
    code = GUARD.replace("class", "import sys\nclass", 1) + (
        "import warmstart as ws\n"
        "data = ws.load_dataset('synthetic', n_users=100)\n"
        "try:\n    ws.Recommender().fit(data)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "warmstart[train]"' in done.stdout


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, warmstart, warmstart.recommenders, warmstart.data, warmstart.cli;"
        "print([m for m in ('torch', 'implicit', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_in_a_fresh_environment_without_extras(model, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", str(ROOT)]
    subprocess.run(pip, check=True, capture_output=True)
    missing = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('implicit'))"
    done = subprocess.run([str(python), "-c", missing], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None"]
    assert_same(served(python, model, tmp_path), model)
