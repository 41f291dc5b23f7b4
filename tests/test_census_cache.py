"""Census-Income, read once: the cache of its arrays, and the download."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyarrow import csv

from shared_bottom.tables import census_files, census_income
from shared_bottom.tables.census_files import fingerprint
from shared_bottom.tables.census_income import load
from spec.files import cache_folder
from tests.helpers.census_files import (
    TEST,
    TRAIN,
    Install,
    assert_same,
    table,
)


@pytest.fixture
def no_parsing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def read_csv(*_: Any, **__: Any) -> None:
            raise AssertionError("a file was parsed")

        monkeypatch.setattr(csv, "read_csv", read_csv)

    return forbid


class TestCache:
    def test_the_second_load_parses_nothing(self, install: Install, no_parsing: Callable[[], None]) -> None:
        folder = install()
        first = load(folder)
        no_parsing()
        assert_same(load(folder), first)

    def test_it_holds_one_file_and_no_leftovers(self, install: Install, cache: Path) -> None:
        load(install())
        assert len(list(cache.iterdir())) == 1

    def test_other_files_are_parsed(self, install: Install) -> None:
        load(install())
        assert load(install(table(7))).train.rows == 7

    def test_another_parser_parses_again(
        self, install: Install, no_parsing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = install()
        load(folder)
        monkeypatch.setattr(census_income, "PARSER_VERSION", census_income.PARSER_VERSION + 1)
        no_parsing()
        with pytest.raises(AssertionError, match="parsed"):
            load(folder)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
            lambda content: b"x" * len(content),
        ],
        ids=["empty", "last byte missing", "half missing", "one bit flipped", "something else"],
    )
    def test_a_damaged_one_is_reported_and_replaced(
        self, install: Install, cache: Path, no_parsing: Callable[[], None], damage: Callable[[bytes], bytes]
    ) -> None:
        folder = install()
        first = load(folder)
        (stored,) = cache.iterdir()
        stored.write_bytes(damage(stored.read_bytes()))
        with pytest.warns(UserWarning, match=r"census-income-.*damaged.*parsing again"):
            assert_same(load(folder), first)
        no_parsing()
        assert_same(load(folder), first)


class Server(ThreadingHTTPServer):
    """Serves `files` by name, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.missing_bytes = 0
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.requests.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.server.missing_bytes))
        for header, value in self.server.headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")
    with Server() as server:
        monkeypatch.setattr(census_files, "URL", f"http://127.0.0.1:{server.server_port}/census-income-mld/")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestDownload:
    @pytest.fixture
    def folder(self, install: Install, server: Server) -> Path:
        """What the server has."""
        folder = install()
        server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return folder

    def test_once(self, folder: Path, server: Server, cache: Path) -> None:
        first = load()
        assert_same(first, load(folder))
        assert server.requests == [f"{TRAIN}.gz", f"{TEST}.gz"]
        assert_same(load(), first)
        assert len(server.requests) == 2
        assert {f"{TRAIN}.gz", f"{TEST}.gz"} < {path.name for path in cache.iterdir()}

    def test_gzip_declared_as_an_encoding(self, folder: Path, server: Server) -> None:
        server.headers["Content-Encoding"] = "gzip"
        assert_same(load(), load(folder))

    def test_a_wrong_file_is_not_kept(self, folder: Path, server: Server, cache: Path) -> None:
        right = server.files[f"{TEST}.gz"]
        wrong = table(10).encode()
        server.files[f"{TEST}.gz"] = gzip.compress(wrong)
        with pytest.raises(ValueError, match="expected a text of") as error:
            load()
        assert str(cache / f"{TEST}.gz") in str(error.value)
        assert fingerprint(wrong) in str(error.value)
        server.files[f"{TEST}.gz"] = right
        assert_same(load(), load(folder))

    def test_a_download_cut_off_is_not_kept(self, folder: Path, server: Server, cache: Path) -> None:
        server.missing_bytes = 10
        with pytest.raises(OSError, match=rf"{TRAIN}.gz: expected a file to download"):
            load()
        assert list(cache.iterdir()) == []
        server.missing_bytes = 0
        assert_same(load(), load(folder))

    def test_a_file_the_server_lacks(self, folder: Path, server: Server) -> None:
        del server.files[f"{TEST}.gz"]
        with pytest.raises(OSError, match=rf"http://127\.0\.0\.1:.*/{TEST}\.gz: expected a file to download.*404"):
            load()

    def test_no_server(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(census_files, "URL", "http://127.0.0.1:1/")
        with pytest.raises(OSError, match=rf"http://127\.0\.0\.1:1/{TRAIN}\.gz: expected a file to download.*refused"):
            load()


def test_the_cache_is_the_users_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("SHARED_BOTTOM_CACHE")
    assert "shared-bottom" in cache_folder().parts


def test_who_has_no_home_folder_is_asked_to_name_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    monkeypatch.delenv("SHARED_BOTTOM_CACHE")
    with pytest.raises(ValueError, match=r"^SHARED_BOTTOM_CACHE: expected a folder, got none, and could"):
        cache_folder()
    monkeypatch.setenv("SHARED_BOTTOM_CACHE", "named")
    assert cache_folder() == Path("named")
