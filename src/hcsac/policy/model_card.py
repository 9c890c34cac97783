"""The card of a policy, `README.md` of its bundle: a Hugging Face model card, written from `policy.json` alone."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from hcsac.algorithms import ALGORITHMS, sentence, settings_of


def card_text(record: dict[str, Any], difference: float | None) -> str:
    """The whole card. `difference` is the largest one measured between ONNX and PyTorch; None where it was not."""
    names = [task["name"] for task in record["tasks"]]
    stage = "" if record["finished"] else " Its run was not finished then."
    method = sentence(ALGORITHMS.get(record["agent"]))
    several = f"{len(names)} tasks" if len(names) > 1 else "one task"
    parts = [
        _front_matter(record, names),
        f"# {record['agent']} policy: {', '.join(names)}",
        f"A deterministic policy for {several} of one robot, learned offline, from logged data alone, by "
        f"`{record['agent']}`. {method} "
        f"It has seen {record['update']:,} updates and was made with hcsac "
        f"{record['hcsac']}.{stage}",
        f"It maps an observation of {record['observation_size']} numbers and a task to an action of "
        f"{record['action_size']} numbers in [-1, 1].",
        "## Tasks", _tasks(record),
        "## Data", _data(record),
        "## Returns", _returns(record),
        "## Settings", _settings(record),
        "## Use", _use(record, names, difference),
        "## Limits", _limits(record),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _front_matter(record: dict[str, Any], names: list[str]) -> str:
    """YAML, its strings in JSON's quotes, which YAML reads alike."""
    tags = ["reinforcement-learning", "offline-reinforcement-learning", "robotics", "hcsac", record["agent"], "onnx"]
    lines = ["---", "library_name: hcsac", "pipeline_tag: reinforcement-learning", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags)]
    if not record["evaluation"]["tasks"]:
        return "\n".join([*lines, "---"])
    lines += ["model-index:", f"- name: {json.dumps('-'.join([record['agent'], *names]))}", "  results:"]
    for task in record["tasks"]:
        value = _reward(record, record["evaluation"]["tasks"][task["name"]])
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


def _reward(record: dict[str, Any], found: dict[str, Any]) -> str:
    """Mean return of what the bundle holds: all seeds of the run, or the one that was chosen."""
    if found["std"] is None or len(record["seeds"]) == 1:
        return f"{found['by_seed'][str(record['onnx_seed'])]:.2f}"
    return f"{found['mean']:.2f} +/- {found['std']:.2f}"


def _tasks(record: dict[str, Any]) -> str:
    rows = [
        [
            task["index"],
            task["name"],
            _environment(task),
            _number(task["random_return"]),
            _number(task["expert_return"]),
        ]
        for task in record["tasks"]
    ]
    return _table(["index", "task", "Gymnasium environment", "random return", "expert return"], rows)


def _environment(task: dict[str, Any]) -> str:
    if task["env_id"] is None:
        return "none"
    return f"`{task['env_id']}`" + (f" `{json.dumps(task['kwargs'])}`" if task["kwargs"] else "")


def _data(record: dict[str, Any]) -> str:
    data = record["data"]
    names = ", ".join(f"`{name}`" for name in data["names"]) or "a dataset made in Python, without a name"
    text = (
        f"{data['rows']:,} transitions: {names}. Fingerprint `{data['fingerprint']}` (the beginning of the SHA-256 of "
        "all that was learned from)."
    )
    if record["alignment"] != "correct":
        text += f" **Their alignment is `{record['alignment']}`**, a known mistake, made to reproduce old numbers."
    return text


def _returns(record: dict[str, Any]) -> str:
    evaluation = record["evaluation"]
    if not evaluation["tasks"]:
        return "This policy has not been evaluated: not every task has a simulator."
    seeds, chosen = evaluation["seeds"], str(record["onnx_seed"])
    head = ["task", "behaviour", f"seed {chosen}", "mean", "std", "min", "max", "score", "best of run"]
    rows = []
    for name, found in evaluation["tasks"].items():
        numbers = [record["behaviour"].get(name), found["by_seed"][chosen]]
        numbers += [found[key] for key in ("mean", "std", "min", "max", "score", "best_of_run")]
        rows.append([name, *map(_number, numbers)])
    count = f"{len(seeds)} seeds ({', '.join(map(str, seeds))})" if len(seeds) > 1 else f"one seed ({seeds[0]})"
    return (
        f"The evaluation of this policy, the run's last: {evaluation['episodes']} episodes a task and seed in the "
        f"simulator, {count}; undiscounted returns.\n\n{_table(head, rows)}\n\n"
        f"*Behaviour* is the mean return of the logged episodes. *Seed {chosen}* is what `policy.onnx` holds. *Mean* "
        "and *std* (sample standard deviation) are over seeds, *min* and *max* over episodes. *Score* is 100 (return - "
        "random) / (expert - random). *Best of run* is the mean over seeds of each seed's best evaluation, chosen by "
        "looking at the returns: it is not what is exported here."
    )


def _settings(record: dict[str, Any]) -> str:
    defaults = settings_of(record["agent"])().as_dict()
    rows = [
        [f"`{name}`", f"`{value}`", f"`{defaults.get(name)}`"]
        for name, value in record["settings"].items()
        if value != defaults.get(name)
    ]
    if not rows:
        return "All settings are the defaults."
    return f"What differs from the defaults:\n\n{_table(['setting', 'here', 'default'], rows)}"


def _use(record: dict[str, Any], names: list[str], difference: float | None) -> str:
    size, task = record["observation_size"], record["tasks"][0]
    chosen = record["onnx_seed"]
    others = f" Other seeds act with `seed=` ({', '.join(map(str, record['seeds']))})." * (len(record["seeds"]) > 1)
    agreement = (
        "The two were not compared, as onnxruntime was not installed"
        if difference is None
        else f"Over 1,000 random inputs its actions differ from PyTorch's by at most {difference:.1e}"
    )
    return f"""With hcsac, in this folder; neither the data nor a simulator is needed:

```python
import hcsac
import numpy as np

policy = hcsac.load_policy(".")
observation = np.zeros({size}, dtype=np.float32)  # your robot's
action = policy.act(observation, {json.dumps(task["name"])})
```

Tasks are called {", ".join(f"`{name}`" for name in names)}.{others}

With [ONNX Runtime](https://onnxruntime.ai) alone (seed {chosen}; task {task["index"]} is {task["name"]}):

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("policy.onnx")
observation = np.zeros((1, {size}), dtype=np.float32)  # [n, {size}], not scaled: that is inside
task = np.array([{task["index"]}], dtype=np.int64)  # [n]
(action,) = session.run(["action"], {{"observation": observation, "task": task}})
```

{agreement}. A task that is not in the table gives NaN."""


def _limits(record: dict[str, Any]) -> str:
    low = " (it was trained with hidden layers in bf16)" if record["settings"].get("precision") == "bf16" else ""
    return f"""- It knows the observations, actions, dynamics and tasks of its data, and nothing beyond them.
- Its returns were measured in a simulator. Nothing here says how it does on a machine; guard its actions there.
- It is deterministic (the mean of the policy after the tanh) and acts in float32{low}.
- A mean hides falls: read *min*, too."""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
