"""The names of a table's files, its folders, and patterns of names."""

import glob
import itertools
import os
from pathlib import Path
from typing import TypeAlias

Name: TypeAlias = str | os.PathLike[str]
"""A file; a folder, for all files in it; or a pattern as of a shell, such as part-*.parquet or **/*.csv."""

IN_MEMORY = "the table in memory"
"""What stands in error messages in place of a file."""

HIDDEN = (".", "_")
"""How the names of files begin that are no part of a table, such as _SUCCESS."""


def files_of(folder: Path, name: str) -> list[Path]:
    """The files that a name stands for, sorted as texts, so that part-10 comes before part-2.

    folder: the folder that the name is relative to.
    name: a file, a folder or a pattern. A name that is there is no pattern, whatever characters it has.

    Of a folder, or where ** or a pattern stands for a folder, the files of its subfolders count as well. Files and
    folders whose names begin with "." or "_" do not, unless the pattern says so. Raises ValueError if there are none.
    """
    path = folder / name
    if path.is_dir():
        files, what = _visible_files(path), "files in the folder"
    elif not is_pattern(folder, name):
        return [path]
    else:
        fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), Path(name).parts))
        root, parts = folder.joinpath(*fixed), Path(name).parts[len(fixed) :]
        matches = root.glob(str(Path(*parts)))
        if not any(part.startswith(HIDDEN) for part in parts):
            matches = (match for match in matches if not _is_hidden(match.relative_to(root)))
        files = [file for match in matches for file in (_visible_files(match) if match.is_dir() else [match])]
        what = "files that match the pattern"
    if not files:
        raise ValueError(f"{path}: expected {what}, found none")
    return sorted(set(files))


def check_file(path: Path) -> None:
    """Raises ValueError unless there is a file at the path."""
    if not path.is_file():
        what_it_is = "a folder" if path.is_dir() else "something else" if path.exists() else "none"
        raise ValueError(f"{path}: expected a file, found {what_it_is}")


def is_pattern(folder: Path, name: str) -> bool:
    """Whether a name is a pattern, and neither a file nor a folder that is there."""
    return glob.has_magic(name) and not (folder / name).exists()


def absolute_name(folder: Path, name: str) -> str:
    """The name with an absolute path. In that of the folder, no character is one of a pattern.

    folder: the folder that the name is relative to.
    name: a file, a folder or a pattern.
    """
    path = folder.absolute()
    return str(Path(glob.escape(str(path)), name) if is_pattern(folder, name) else path / name)


def _visible_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(HIDDEN) for part in path.parts)
