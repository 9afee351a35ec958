"""A prediction from a browser's address bar."""

from __future__ import annotations

import pytest

from turnout.errors import InputError
from turnout.predictor.model import Model
from turnout.predictor.v1 import V1, V1Query


@pytest.fixture
def tables(flats_model: Model) -> V1Query:
    return V1Query(V1(flats_model.manifest), flats_model.manifest)


def test_a_query_is_one_row_with_values_of_the_models_datatypes(tables: V1Query) -> None:
    call = tables.decode(b"area=30.5&rooms=2&district=old%20east")

    assert call.rows == 1
    assert [call.feeds[name].tolist() for name in ("area", "rooms", "district")] == [[[30.5]], [[2]], [["old east"]]]


def test_features_of_one_tensor_are_named_too(iris_model: Model) -> None:
    query = V1Query(V1(iris_model.manifest), iris_model.manifest)

    call = query.decode(b"petal_width=0.25&petal_length=1.5&sepal_width=3.5&sepal_length=5")

    assert call.feeds["X"].tolist() == [[5.0, 3.5, 1.5, 0.25]]


def test_an_empty_number_is_missing(tables: V1Query) -> None:
    assert str(tables.decode(b"area=&rooms=2&district=east").feeds["area"].tolist()) == "[[nan]]"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"", "wanted the model's features; missing: area, district, rooms; unknown: none"),
        (b"area=1&rooms=2&district=east&x=1", "missing: none; unknown: x"),
        (b"area=1&area=2&rooms=2&district=east", "query: area is given twice"),
        (b"area=large&rooms=2&district=east", "query: area: wanted FP32, found 'large'"),
        (b"area=1&rooms=2.5&district=east", "rooms: wanted INT64, found a decimal number"),
        (b"area=[1]&rooms=2&district=east", "area: wanted FP32, found a list"),
        (b"area=%ff&rooms=2&district=east", "query: not UTF-8, or too long"),
    ],
)
def test_a_wrong_query_is_told_what_was_wanted(tables: V1Query, query: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        tables.decode(query)

    assert message in str(caught.value)
    assert caught.value.status == 400
