"""The same in pandas and scikit-learn, as in a notebook: `python -m bench.scale.plain FOLDER MOST_ROWS`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.scale.steps import watched

_METRIC = "neg_mean_absolute_error"


def table(folder: Path) -> pd.DataFrame:
    """Read, check, join, name by content, write."""
    flights = pd.read_parquet(folder / "flights")
    flights = flights[flights["arr_delay"].notna() & (flights["distance"] >= 0) & flights["carrier"].notna()]
    flights = flights[~flights["id"].duplicated(keep=False)]
    weather = pd.read_parquet(folder / "weather.parquet").set_index(["origin", "time_hour"]).add_prefix("w_")
    joined = pd.merge_asof(
        flights.sort_values("departed"),
        weather.reset_index().sort_values("time_hour"),
        left_on="departed",
        right_on="time_hour",
        by="origin",
        tolerance=pd.Timedelta(days=1),
    )
    planes = pd.read_parquet(folder / "planes.parquet")[["tailnum", "year", "seats", "engine"]]
    airports = pd.read_parquet(folder / "airports.parquet")[["faa", "lat", "lon", "alt"]]
    joined = joined.merge(planes.set_index("tailnum").add_prefix("p_"), on="tailnum", how="left")
    joined = joined.merge(airports.set_index("faa").add_prefix("a_"), left_on="dest", right_index=True, how="left")
    joined = joined.drop(columns="time_hour").sort_values("id", ignore_index=True)
    digest = hashlib.sha256(pd.util.hash_pandas_object(joined, index=False).to_numpy().tobytes()).hexdigest()
    joined.to_parquet(folder / f"plain-{digest[:12]}.parquet", index=False, compression="zstd")
    return joined


def model(folder: Path, *, most_rows: int) -> None:
    """Split by time, train both on as many rows as the pipeline does, measure the better one."""
    whole = table(folder).sort_values("departed")
    border = whole["departed"].iloc[round(len(whole) * 0.8)]
    train, test = (part.sample(min(most_rows, len(part)), random_state=0) for part in _divided(whole, border))
    train = train.sort_values("departed")
    names = [name for name in whole.columns if name not in ("id", "departed", "tailnum", "arr_delay")]
    words = [name for name in names if whole[name].dtype == object]
    numbers = [name for name in names if name not in words]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), words),
        sparse_threshold=0,
    )
    best, most = None, -np.inf
    for estimator in (Ridge(), HistGradientBoostingRegressor(max_iter=50, random_state=0)):
        pipeline = make_pipeline(prepared, estimator)
        folds = TimeSeriesSplit(n_splits=2)
        score = cross_val_score(pipeline, train[names], train["arr_delay"], cv=folds, scoring=_METRIC).mean()
        pipeline.fit(train[names], train["arr_delay"])
        if score > most:
            best, most = pipeline, score
    print(mean_absolute_error(test["arr_delay"], best.predict(test[names])), file=sys.stderr)


def _divided(whole: pd.DataFrame, border: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    return whole[whole["departed"] < border], whole[whole["departed"] >= border]


if __name__ == "__main__":
    print(json.dumps(watched(lambda: model(Path(sys.argv[1]), most_rows=int(sys.argv[2])))))
