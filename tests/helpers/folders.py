"""Folders of files with a given content."""

from shared_bottom.disk import whole_folder, write_flushed


def write_folder(path, contents):
    """Writes the folder `path`, whole or not at all, with files of these contents by name."""
    with whole_folder(path) as folder:
        for name, content in contents.items():
            write_flushed(folder / name, [content])
