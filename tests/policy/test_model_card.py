"""The model card: its numbers, that the hub's own parser reads it, and that its code runs."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import hcsac
from hcsac.policy import export_policy, load_policy
from hcsac.policy.model_card import model_card
from hcsac.training import last_returns, learning_curve, train
from tests.training.conftest import settings

DOCS = Path(hcsac.__file__).parents[2] / "docs" / "how-to" / "export.md"


@pytest.fixture
def metadata(run):
    return json.loads((run.path / "policy" / "policy.json").read_text())


def cells(text, first):
    """The cells of the table row that begins with `first`."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", text, flags=re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


def test_the_returns_are_those_of_the_last_evaluation(run):
    text = (run.path / "policy" / "README.md").read_text()
    for task in ("slide-left", "slide-right"):
        returns, curve = last_returns(run, task), learning_curve(run, task)[1]
        means = returns.mean(1)
        numbers = [
            run.identity()["behaviour"][task], means[0], means.mean(), means.std(ddof=1), returns.min(), returns.max(),
            10 * means.mean(), curve.max(0).mean(),
        ]  # fmt: skip
        assert cells(text.split("## Returns")[1], task) == [f"{number:.1f}" for number in numbers]
    assert "3 episodes a task and seed in the simulator, 2 seeds (3, 5)" in text
    assert "it is not the exported policy" in text


def test_data_tasks_and_settings(run):
    text = (run.path / "policy" / "README.md").read_text()
    assert "96 transitions: `lab/left-v0`, `lab/right-v0`" in text
    assert f"`{run.identity()['fingerprint']}`" in text
    assert cells(text, "1") == ["slide-right", "`tests/slide-right-v0`", "0.0", "10.0"]
    assert cells(text, "`hidden_size`") == ["`8`", "`256`"]
    assert "`discount`" not in text
    assert "bf16" not in text
    assert "not finished" not in text


def test_one_seed_no_score_no_names_and_a_known_mistake(metadata):
    left = metadata["evaluation"]["tasks"]["slide-left"]
    left |= {"std": None, "score": None}
    metadata |= {"seeds": [5], "onnx_seed": 5, "alignment": "off_by_one", "finished": False}
    metadata["evaluation"]["seeds"] = [5]
    metadata["data"]["names"] = []
    metadata["settings"]["precision"] = "bf16"
    text = model_card(metadata, None)
    row = cells(text.split("## Returns")[1], "slide-left")
    assert (row[1], row[3], row[6]) == (f"{left['by_seed']['5']:.1f}", "-", "-")
    for sentence in (
        "one seed (5)",
        "Their alignment is `off_by_one`",
        "Its training was not finished",
        "a dataset made in Python",
        "trained with hidden layers in bf16",
        "The two were not compared",
    ):
        assert sentence in text
    assert f'value: "{left["by_seed"]["5"]:.2f}"' in text


def test_the_front_matter_is_read_by_the_hub_s_own_parser(run):
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (pip install huggingface_hub)")
    card = hub.ModelCard((run.path / "policy" / "README.md").read_text())
    assert (card.data.library_name, card.data.pipeline_tag) == ("hcsac", "reinforcement-learning")
    assert {"reinforcement-learning", "offline-reinforcement-learning", "hcsac", "onnx"} <= set(card.data.tags)
    results = card.data.eval_results
    assert [(r.dataset_name, r.dataset_type, r.metric_type) for r in results] == [
        (task, f"tests/{task}-v0", "mean_reward") for task in ("slide-left", "slide-right")
    ]
    means = last_returns(run, "slide-left").mean(1)
    assert results[0].metric_value == f"{means.mean():.2f} +/- {means.std(ddof=1):.2f}"


def blocks(text):
    found = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(found) == 2
    return found


def test_the_code_of_the_card_runs(run, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
    monkeypatch.chdir(run.path / "policy")
    acted = []
    for block in blocks(Path("README.md").read_text()):
        names = {}
        exec(block, names)
        acted.append(names["action"].reshape(-1))
    np.testing.assert_allclose(*acted, atol=1e-6)


def test_the_code_of_the_card_of_a_policy_with_noise_runs(slides, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
    noisy = settings("bc", actors=3, disagreement_noise=2.0)
    run = train("bc", slides, tmp_path / "run", noisy, progress=False)
    export_policy(run.path)
    monkeypatch.chdir(run.path / "policy")
    card = Path("README.md").read_text()
    python, onnx = ({}, {})
    for block, names in zip(blocks(card), (python, onnx), strict=True):
        exec(block, names)
    np.testing.assert_allclose(python["action"], onnx["action"][0], atol=1e-6)
    assert abs(onnx["action"] - onnx["mean"]).max() > 1e-3
    assert "It adds noise to its mean action where its actors disagree" in card


def test_the_code_of_the_page_runs(run, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
    if not DOCS.exists():
        pytest.skip("needs docs/how-to/export.md, which is not beside an installed package")
    shutil.copytree(run.path / "policy", tmp_path / "policy")
    monkeypatch.chdir(tmp_path)
    python, onnx = ({}, {})
    for block, names in zip(blocks(DOCS.read_text()), (python, onnx), strict=True):
        exec(block, names)
    np.testing.assert_allclose(python["action"], onnx["action"], atol=1e-6)
    row = np.array([0.5, -1.0, 2.0])
    acted = load_policy("policy").act(row, "slide-right")
    np.testing.assert_allclose(onnx["act"](row, "slide-right"), acted, atol=1e-5)
