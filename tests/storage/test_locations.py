"""One suite for every kind of place: folders and object stores behave alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage import objectstore
from turnout import storage
from turnout.errors import Failed, InputError, NotFound, Unavailable


@pytest.fixture(params=["file", "path", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, store: objectstore.Store) -> str:
    """The URL of an empty place of each kind."""
    return {"file": f"file://{tmp_path}/a place", "path": f"{tmp_path}/place", "s3": "s3://models/a place"}[
        request.param
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.json").write_bytes(b"{}")
    (folder / "deep" / "weights").write_bytes(b"\x00\x01")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_there_at_first(root: str) -> None:
    place = storage.at(root)
    assert not place.exists()
    with pytest.raises(NotFound):
        place.read_bytes()


def test_bytes_written_are_bytes_read(root: str) -> None:
    place = storage.at(storage.join(root, "deep", "file.bin"))
    place.write_bytes(b"one")
    place.write_bytes(b"two")
    assert place.exists()
    assert place.read_bytes() == b"two"


def test_a_folder_comes_back_as_it_went(root: str, folder: Path, tmp_path: Path) -> None:
    storage.at(root).upload_folder(folder)
    storage.at(root).download_folder(tmp_path / "back")
    assert storage.at(root).exists()
    assert files(tmp_path / "back") == files(folder)


def test_one_file_of_a_folder_is_a_place(root: str, folder: Path) -> None:
    storage.at(root).upload_folder(folder)
    assert storage.at(storage.join(root, "model.json")).read_bytes() == b"{}"


def test_a_second_upload_replaces_the_first(root: str, folder: Path, tmp_path: Path) -> None:
    storage.at(root).upload_folder(folder)
    (folder / "deep" / "weights").unlink()
    (folder / "model.json").write_bytes(b"new")
    storage.at(root).upload_folder(folder)
    storage.at(root).download_folder(tmp_path / "back")
    assert files(tmp_path / "back") == {"model.json": b"new"}


def test_a_download_replaces_what_was_there(root: str, folder: Path, tmp_path: Path) -> None:
    storage.at(root).upload_folder(folder)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").write_bytes(b"old")
    storage.at(root).download_folder(tmp_path / "back")
    assert "old" not in files(tmp_path / "back")


def test_a_neighbour_with_a_longer_name_is_another_place(root: str, folder: Path) -> None:
    storage.at(f"{root}-2").upload_folder(folder)
    assert not storage.at(root).exists()


def test_downloading_nothing_is_refused_and_leaves_nothing(root: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        storage.at(root).download_folder(tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_upload_leaves_no_traces_aside(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "store" / "models"
    storage.at(str(place)).upload_folder(folder)
    storage.at(str(place)).upload_folder(folder)
    assert [path.name for path in place.parent.iterdir()] == ["models"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/key", "found gs://"),
        ("s3:///key", "names a bucket first"),
        ("file://host/folder", "three slashes"),
        ("", "names no place"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        storage.at(url)


def test_addresses_are_joined_with_one_slash() -> None:
    assert storage.join("s3://bucket/models/", "/digits", "v4") == "s3://bucket/models/digits/v4"


def test_a_missing_bucket_is_not_found(store: objectstore.Store) -> None:
    with pytest.raises(NotFound, match="s3://other/key: NoSuchBucket"):
        storage.at("s3://other/key").read_bytes()


def test_a_refusal_of_the_store_is_told(store: objectstore.Store) -> None:
    store.refuse = "AccessDenied"
    with pytest.raises(Failed, match="s3://models/key: the object store refused: AccessDenied"):
        storage.at("s3://models/key").write_bytes(b"x")


def test_a_store_that_does_not_answer_is_unavailable(store: objectstore.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="s3://models/key: the object store does not answer"):
        storage.at("s3://models/key").read_bytes()


def test_a_whole_bucket_comes_back_as_it_went(store: objectstore.Store, folder: Path, tmp_path: Path) -> None:
    root = "s3://models"
    storage.at(root).upload_folder(folder)
    storage.at(root).download_folder(tmp_path / "back")
    assert files(tmp_path / "back") == files(folder)
