"""Gather and explore: write the table that model.yaml names, out of the package `vaderSentiment`.

The archive of the package's sources carries the texts that people rated for Hutto and Gilbert (2014), "VADER", in an
archive within; the licence of all of it is MIT.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pandas as pd

from examples import packages

_RESOURCES = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_REVIEWS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
# From this many texts for each word of a typical one, order is worth learning (Google's text classification guide).
_WORDS_IN_ORDER = 1500


def table(text: str) -> pd.DataFrame:
    """One row for each sentence of a review: its text, and whether its mean rating by twenty people is above 0."""
    rows = [line.split("\t") for line in text.splitlines()]
    return pd.DataFrame(
        {
            "id": [int(number) for number, _, _ in rows],
            "review": [" ".join(review.split()) for _, _, review in rows],
            "opinion": ["positive" if float(rating) > 0 else "negative" for _, rating, _ in rows],
        }
    )


def explore(found: pd.DataFrame) -> str:
    """How many texts there are for each word of a typical one, and which kind of model that calls for."""
    words = found["review"].str.split().str.len().median()
    ratio = len(found) / words
    kind = "words and pairs of words, without their order" if ratio < _WORDS_IN_ORDER else "words in their order"
    shares = ", ".join(f"{share:.1%} {name}" for name, share in found["opinion"].value_counts(normalize=True).items())
    return (
        f"{len(found)} reviews ({shares}), {words:.0f} words in the typical one\n"
        f"{ratio:.0f} reviews for each of its words, {_WORDS_IN_ORDER} would call for a model of sequences: {kind}"
    )


def write(folder: Path) -> Path:
    """Write `reviews.csv` and say what is in it."""
    with tarfile.open(packages.archive(folder)) as package:
        resources = package.extractfile(_RESOURCES)
        assert resources is not None
        with tarfile.open(fileobj=io.BytesIO(resources.read())) as archive:
            reviews = archive.extractfile(_REVIEWS)
            assert reviews is not None
            found = table(reviews.read().decode("utf-8"))
    found.to_csv(folder / "data" / "reviews.csv", index=False)
    print(explore(found))
    return folder / "data" / "reviews.csv"


if __name__ == "__main__":
    print(f"wrote {write(Path(__file__).parent)}")
