"""A chain of trivial steps for KFP. It reads annotations, so they are no strings here."""

from typing import Any

from kfp import dsl


def add(number: int) -> int:
    """One more."""
    return number + 1


_QUICK = dsl.component(
    add, base_image="ghcr.io/turnout-dev/pipeline", packages_to_install=[], install_kfp_package=False
)
_AS_IT_COMES = dsl.component(add)


def chain_of(steps: int, *, as_it_comes: bool = False) -> Any:
    """The pipeline with so many of them; nothing is taken from a cache."""
    component = _AS_IT_COMES if as_it_comes else _QUICK

    @dsl.pipeline(name="chain")
    def chain(spec: str = "") -> None:
        last: Any = 0
        for _ in range(steps):
            last = component(number=last).set_caching_options(False).output

    return chain
