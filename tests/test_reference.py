"""The page of all fields is that of the classes, and has every field of every class that a TOML file may name."""

import dataclasses
import re
from pathlib import Path

import pytest

from spec.reference import documented, reference

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m spec.reference > docs/reference.md"


@pytest.mark.parametrize("cls", documented(), ids=lambda cls: cls.__name__)
def test_every_field_has_a_row(cls):
    section = reference().split(f"## {cls.__name__}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [field.name for field in dataclasses.fields(cls)]


def test_every_link_leads_to_a_section():
    page = reference()
    sections = {name.lower() for name in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", page)) <= sections
