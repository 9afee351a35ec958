"""The demo's story on a real cluster while its parts die: `python -m tests.cluster.faults` (opt-in; 10 minutes).

Two replicas of predictors, ledger and controller. While a challenger is under test, one after the other: a champion's
Pod is deleted, the leading controller's Pod, a ledger's Pod, and PostgreSQL is restarted. The story must end as it
always does, without a failed request and with every answered one in the books once.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cluster import care, secrets
from cluster.tools import Problem, kubectl
from turnout.demo import stages, story
from turnout.kube import client

_ROOT = Path(__file__).parents[2]
_PAUSE_S = 8.0
_SPECS = ("naive-bayes.yaml", "forest.yaml", "forest-shuffled.yaml")


def main() -> int:
    """0 when the story ended as it must."""
    care.confirm("tell the demo and delete Pods of Turnout meanwhile")
    console = Console()
    for name in ("ledger", "controller"):
        _system("scale", f"deployment/turnout-{name}", "--replicas=2")
        _system("rollout", "status", f"deployment/turnout-{name}", "--timeout=180s")
    with tempfile.TemporaryDirectory(prefix="turnout-faults-") as folder:
        first, second, third = (_with_two_replicas(name, Path(folder)) for name in _SPECS)
        script = story.Script(first, second, third, gate=True, keep=False, seed=None, expected=True)
        threading.Thread(target=_break_things, args=(console,), daemon=True).start()
        told = story.tell(script, place=_place(Path(folder)), console=console)
    return 0 if told.ended_well else 1


def _place(folder: Path) -> stages.Cluster:
    """Labels that a dead database holds up still come within their window."""
    return stages.Cluster(folder / "home", label_window="15s")


def _with_two_replicas(name: str, folder: Path) -> Path:
    text = (_ROOT / "examples" / "digits" / name).read_text(encoding="utf-8")
    changed = folder / name
    # Each fault falls into a step.
    text = text.replace("replicas: 1", "replicas: 2").replace("stepTime: 1s", "stepTime: 15s")
    changed.write_text(text, encoding="utf-8")
    return changed


def _break_things(console: Console) -> None:
    faults: dict[str, Callable[[str], object]] = {
        "a champion's Pod is deleted": _delete_a_champion,
        "the leading controller's Pod is deleted": _delete_the_leader,
        "a ledger's Pod is deleted": lambda _: _delete_first("turnout-ledger"),
        "PostgreSQL's Pod is deleted": lambda _: _system("delete", "pod", "turnout-postgres-0", "--wait=false"),
    }
    champion = _wait_for_a_challenger()
    for sentence, fault in faults.items():
        time.sleep(_PAUSE_S)
        try:
            fault(champion)
        except Problem as problem:
            console.print(f"  [bold]fault[/] {sentence}: {problem}")
        else:
            console.print(f"  [bold]fault[/] {sentence}")


def _wait_for_a_challenger() -> str:
    """The champion of the story, once somebody challenges it."""
    kube = client.connect()
    while True:
        for turnout in kube.list("Turnout", namespace="default"):
            status = turnout.get("status") or {}
            if status.get("challenger"):
                return str(status["champion"])
        time.sleep(1.0)


def _delete_a_champion(champion: str) -> None:
    selector = f"--selector=serving.kserve.io/inferenceservice={champion}"
    name = kubectl("get", "pods", "--namespace=default", selector, "--output=name").split()[0]
    kubectl("delete", name, "--namespace=default", "--wait=false")


def _delete_the_leader(_: str) -> None:
    holder = _system("get", "lease", "turnout-controller", "--output=jsonpath={.spec.holderIdentity}")
    _system("delete", "pod", holder.rpartition("_")[0], "--wait=false")


def _delete_first(app: str) -> None:
    name = _system("get", "pods", f"--selector=app.kubernetes.io/name={app}", "--output=name").split()[0]
    _system("delete", name, "--wait=false")


def _system(*words: str) -> str:
    return kubectl("--namespace", secrets.SYSTEM, *words)


if __name__ == "__main__":
    sys.exit(main())
