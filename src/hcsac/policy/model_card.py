"""The model card of a policy, `README.md` of its bundle, in Hugging Face's form, written from `policy.json`."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hcsac.algorithms import ALGORITHMS, recorded_settings, sentence, settings_of
from hcsac.data.relabel import hardly_shown
from hcsac.tasks import ActionBounds, get_task
from hcsac.types import Parameter


def model_card(metadata: dict[str, Any], difference: float | None) -> str:
    """The text. `difference` is the largest |ONNX - PyTorch| of an action; None where they were not compared."""
    names = [task["name"] for task in metadata["tasks"]]
    title = "distilled policy" if "distilled" in metadata else "policy"
    parts = [
        _front_matter(metadata, names),
        f"# {_trained(metadata)['agent']} {title}: {', '.join(names)}",
        _origin(metadata, names),
        f"It maps an observation of {metadata['observation_size']} numbers and a task to an action of "
        f"{metadata['action_size']} numbers in {ActionBounds(*map(np.array, metadata['action_bounds']))}.",
        "## Tasks", _tasks(metadata),
        "## Data", _data(metadata),
        *(["## Distillation", distillation(metadata)] if "distilled" in metadata else []),
        "## Returns", _returns(metadata),
        "## Settings", _settings(metadata),
        "## Use", _use(metadata, names, difference),
        "## Limits", _limits(metadata),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def distillation(metadata: dict[str, Any]) -> str:
    """The comparison of a distilled policy with its teacher, as Markdown."""
    held = metadata["distilled"]
    head = ["of one seed", "teacher", "distilled"]
    rows = [
        ["networks", *held["networks"].values()],
        ["parameters", *(f"{count:,}" for count in held["parameters"].values())],
        ["ms an action", *(f"{1000 * seconds:.3f}" for seconds in held["seconds_per_action"].values())],
    ]
    agreed_head = ["task", "mean squared difference of actions", "variance of the teacher's"]
    agreed = [
        [task, f"{entry['difference']:.2g}", f"{entry['variance']:.2g}"]
        for task, entry in held["held_out"]["tasks"].items()
    ]
    parts = [
        f"{_table(head, rows)}\n\n(PyTorch, float32, one thread, one observation at a time; medians of calls in turn)",
        f"{_table(agreed_head, agreed)}\n\n(at states of {held['held_out']['episodes']} episodes that were not trained "
        "on; mean over seeds)",
    ]
    if held["networks"]["teacher"] == 1:
        parts.insert(1, "The teacher is one network already: there is little to save, unless the other one is smaller.")
    if held["returns"] is not None:
        parts.append(_difference(metadata))
    return "\n\n".join(parts)


def _difference(metadata: dict[str, Any]) -> str:
    head = ["task", "teacher", "min", "distilled", "min", "difference", "95 % interval"]
    rows = []
    for task, entry in metadata["distilled"]["returns"].items():
        sides = [_number(entry[side][key]) for side in ("teacher", "student") for key in ("mean", "min")]
        difference = entry["difference"]
        interval = f"{difference['low']:+.1f} to {difference['high']:+.1f}"
        rows.append([task, *sides, f"{difference['value']:+.1f}", interval])
    evaluation = metadata["evaluation"]
    return (
        f"{_table(head, rows)}\n\n(returns of {evaluation['episodes']} episodes a task and seed, "
        f"{_seeds(evaluation['seeds'])}, from the same initial states; paired bootstrap interval)"
    )


def _trained(metadata: dict[str, Any]) -> dict[str, Any]:
    """Algorithm, updates and settings of what was trained on the data: the teacher of a distilled policy."""
    return metadata["distilled"]["teacher"] if "distilled" in metadata else metadata


def _origin(metadata: dict[str, Any], names: list[str]) -> str:
    agent, update = _trained(metadata)["agent"], _trained(metadata)["update"]
    unfinished = "" if metadata["finished"] else " Its training was not finished."
    several = f"{len(names)} tasks" if len(names) > 1 else "one task"
    method = sentence(ALGORITHMS.get(agent))
    trained = f"trained offline, from logged data alone, by `{agent}`. {method}"
    if "distilled" not in metadata:
        return (
            f"A deterministic policy for {several} of one robot, {trained} It was trained for {update:,} updates and "
            f"exported with hcsac {metadata['hcsac']}.{unfinished}"
        )
    held = metadata["distilled"]
    return (
        f"A deterministic policy for {several} of one robot: one network, distilled from another policy, the teacher, "
        f"with hcsac {metadata['hcsac']}. The teacher was {trained} It was trained for {update:,} updates.{unfinished} "
        f"This network then learned its actions in {metadata['update']:,} updates, at logged states and, in half of "
        f"each minibatch, at states with Gaussian noise of {held['noise']:g} of each observation's standard deviation."
    )


def _front_matter(metadata: dict[str, Any], names: list[str]) -> str:
    """YAML, with strings quoted as in JSON, which is valid YAML."""
    agent = _trained(metadata)["agent"]
    kind = ["distillation"] if "distilled" in metadata else []
    tags = ["reinforcement-learning", "offline-reinforcement-learning", "robotics", "hcsac", agent, *kind, "onnx"]
    lines = ["---", "library_name: hcsac", "pipeline_tag: reinforcement-learning", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags)]
    if not metadata["evaluation"]["tasks"]:
        return "\n".join([*lines, "---"])
    lines += ["model-index:", f"- name: {json.dumps('-'.join([agent, *kind, *names]))}", "  results:"]
    for task in metadata["tasks"]:
        value = _reward(metadata, metadata["evaluation"]["tasks"][task["name"]])
        lines += [
            "  - task:",
            "      type: reinforcement-learning",
            "      name: reinforcement-learning",
            "    dataset:",
            f"      name: {json.dumps(task['name'])}",
            f"      type: {json.dumps(task['env_id'])}",
            "    metrics:",
            "    - type: mean_reward",
            f"      value: {json.dumps(value)}",
            "      name: mean_reward",
            "      verified: false",
        ]
    return "\n".join([*lines, "---"])


def _reward(metadata: dict[str, Any], results: dict[str, Any]) -> str:
    """Mean return of the seeds in the bundle: all of the run, or the exported one."""
    if results["std"] is None or len(metadata["seeds"]) == 1:
        return f"{results['by_seed'][str(metadata['onnx_seed'])]:.2f}"
    return f"{results['mean']:.2f} +/- {results['std']:.2f}"


def _tasks(metadata: dict[str, Any]) -> str:
    rows = [
        [
            task["index"],
            task["name"],
            _environment(task),
            _number(task["random_return"]),
            _number(task["expert_return"]),
        ]
        for task in metadata["tasks"]
    ]
    return _table(["index", "task", "Gymnasium environment", "random return", "expert return"], rows)


def _environment(task: dict[str, Any]) -> str:
    if task["env_id"] is None:
        return "none"
    return f"`{task['env_id']}`" + (f" `{json.dumps(task['kwargs'])}`" if task["kwargs"] else "")


def _data(metadata: dict[str, Any]) -> str:
    data = metadata["data"]
    text = (
        f"{data['rows']:,} transitions: {_names(data)}. Fingerprint `{data['fingerprint']}` (first digits of the "
        "SHA-256 of all data used for training)."
    )
    if metadata["alignment"] != "correct":
        text += f" **Their alignment is `{metadata['alignment']}`**, a known mistake, to reproduce published numbers."
    if "distilled" in metadata and (states := metadata["distilled"]["data"])["fingerprint"] != data["fingerprint"]:
        text += f" Distilled at states of {_names(states)}, fingerprint `{states['fingerprint']}`."
    if new := metadata.get("best_steps", {}):
        text += f" Nothing was logged for {', '.join(new)}: these transitions have their rewards instead."
    if unseen := [task for task, best in new.items() if hardly_shown(best, get_task(task).highest_reward)]:
        text += f" **The logs hardly show {', '.join(unseen)}: the policy is not to be trusted there.**"
    return text


def _names(data: dict[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in data["names"]) or "a dataset made in Python, without a name"


def _returns(metadata: dict[str, Any]) -> str:
    evaluation = metadata["evaluation"]
    if not evaluation["tasks"]:
        return "This policy has not been evaluated: not every task has a simulator."
    chosen, best = str(metadata["onnx_seed"]), "distilled" not in metadata
    head = ["task", "dataset", f"seed {chosen}", "mean", "std", "min", "max", "score"] + ["best of run"] * best
    rows = []
    for name, results in evaluation["tasks"].items():
        numbers = [metadata["behaviour"].get(name), results["by_seed"][chosen]]
        numbers += [results[key] for key in ("mean", "std", "min", "max", "score")] + [results["best_of_run"]] * best
        rows.append([name, *map(_number, numbers)])
    last = ", the run's last" if best else ""
    text = (
        f"The evaluation of this policy{last}: {evaluation['episodes']} episodes a task and seed in the simulator, "
        f"{_seeds(evaluation['seeds'])}; undiscounted returns.\n\n{_table(head, rows)}\n\n"
        f"*Dataset* is the mean return of the logged episodes, *seed {chosen}* that of `policy.onnx`. *Mean* "
        "and *std* (sample standard deviation) are over seeds, *min* and *max* over episodes. *Score* is 100 (return - "
        "random) / (expert - random)."
    )
    if best:
        text += (
            " *Best of run* is the mean over seeds of each seed's best evaluation, chosen by looking at the returns: "
            "it is not the exported policy."
        )
    return text


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seeds ({', '.join(map(str, seeds))})" if len(seeds) > 1 else f"one seed ({seeds[0]})"


def _settings(metadata: dict[str, Any]) -> str:
    if "distilled" not in metadata:
        return _settings_of(metadata)
    return f"The teacher:\n\n{_settings_of(_trained(metadata))}\n\nThis network:\n\n{_settings_of(metadata)}"


def _settings_of(trained: dict[str, Any]) -> str:
    defaults = settings_of(trained["agent"])().as_dict()
    rows = [
        [f"`{name}`", f"`{value}`", f"`{defaults.get(name)}`"]
        for name, value in trained["settings"].items()
        if value != defaults.get(name)
    ]
    if not rows:
        return "All settings have their default values."
    return f"Settings that differ from the defaults:\n\n{_table(['setting', 'value', 'default'], rows)}"


def _use(metadata: dict[str, Any], names: list[str], difference: float | None) -> str:
    size, task = metadata["observation_size"], metadata["tasks"][0]
    number = Parameter.of(names) if metadata["settings"].get("embedding") == "number" else None
    asked, given = json.dumps(task["name"]), f"task = np.array([{task['index']}], dtype=np.int64)  # [n]"
    out_of_range, what = "A task index that is not in the table", f"task {task['index']} is {task['name']}"
    if number is not None:
        asked = f"{number.name}={number.values[0]:g}"
        given = f"{number.name} = np.array([{number.values[0]:g}], dtype=np.float32)  # [n]"
        out_of_range = f"A {number.name} out of the range from {number.range[0]:g} to {number.range[1]:g}"
        what = f"any {number.name} from {number.range[0]:g} to {number.range[1]:g} can be asked for"
    chosen = metadata["onnx_seed"]
    others = ""
    if len(metadata["seeds"]) > 1:
        others = f" `seed=` chooses another seed ({', '.join(map(str, metadata['seeds']))})."
    agreement = (
        "The two were not compared, because onnxruntime was not installed"
        if difference is None
        else f"Over 1,000 random inputs its actions differ from PyTorch's by at most {difference:.1e}"
    )
    return f"""With hcsac, in this folder; neither the data nor a simulator is needed:

```python
import hcsac
import numpy as np

policy = hcsac.load_policy(".")
observation = np.zeros({size}, dtype=np.float32)  # your robot's
action = policy.act(observation, {asked})
```

The tasks are {", ".join(f"`{name}`" for name in names)}.{others}

With [ONNX Runtime](https://onnxruntime.ai) alone (seed {chosen}; {what}):

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("policy.onnx")
observation = np.zeros((1, {size}), dtype=np.float32)  # [n, {size}], unscaled: the model scales them
{given}
{_onnx_call(metadata, "task" if number is None else number.name)}
```

{agreement}. {out_of_range} gives NaN."""


def _noisy(metadata: dict[str, Any]) -> bool:
    return recorded_settings(metadata["agent"], metadata["settings"]).noise_scale > 0


def _onnx_call(metadata: dict[str, Any], asked: str) -> str:
    inputs = f'{{"observation": observation, "{asked}": {asked}}}'
    if not _noisy(metadata):
        return f'(action,) = session.run(["action"], {inputs})'
    bounds = ActionBounds(*(np.array(end, np.float32) for end in metadata["action_bounds"]))
    low, high = (-1, 1) if bounds.is_unit else metadata["action_bounds"]
    return f"""random = np.random.default_rng(0)  # once, not for every action
mean, noise_std = session.run(["action", "noise_std"], {inputs})
action = np.clip(mean + noise_std * random.standard_normal(mean.shape, np.float32), {low}, {high})"""


def _limits(metadata: dict[str, Any]) -> str:
    low = " (it was trained with hidden layers in bf16)" if metadata["settings"].get("precision") == "bf16" else ""
    kind = "It is deterministic (the mean of the policy after the tanh)"
    if _noisy(metadata):
        kind = "It adds noise to its mean action where its actors disagree (`deterministic=True`: the mean alone)"
    return f"""- It is valid for the observations, actions, dynamics and tasks of its data only.
- Its returns were measured in a simulator. They do not predict its performance on a robot; limit its actions there.
- {kind} and acts in float32{low}.
- A mean hides failed episodes: read *min*, too."""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
