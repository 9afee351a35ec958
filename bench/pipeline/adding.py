"""A chain of trivial steps for KFP. It reads annotations, so they are no strings here."""

from typing import Any

from kfp import dsl


@dsl.component(packages_to_install=[], install_kfp_package=False, base_image="ghcr.io/turnout-dev/pipeline")
def add(number: int) -> int:
    """One more."""
    return number + 1


def chain_of(steps: int) -> Any:
    """The pipeline with so many of them; nothing is taken from a cache."""

    @dsl.pipeline(name="chain")
    def chain(spec: str = "") -> None:
        last: Any = 0
        for _ in range(steps):
            last = add(number=last).set_caching_options(False).output

    return chain
