import pytest

from darkroom.remote.web_pages import is_web_page, page_title


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<html><title>Sign in | Kaggle</title>", "Sign in | Kaggle"),
        (b"<TITLE lang=en>\n a &amp;\r\n b\x1b[31m </TITLE>", "a & b [31m"),
        (b"<html><title>cut", ""),
        (b"", ""),
        (b"<title>" + b"x" * 200 + b"</title>", "x" * 99 + "…"),
    ],
)
def test_title(page: bytes, text: str) -> None:
    assert page_title(page) == text


@pytest.mark.parametrize(
    ("name", "head", "page"),
    [
        ("a.zip", b"<!DOCTYPE html><html>", True),
        ("a.csv", b"\xef\xbb\xbf \n<HTML>", True),
        ("a.html", b"<!DOCTYPE html>", False),
        ("a.xml", b"<?xml version='1.0'?>", False),
        ("a.zip", b"PK\x03\x04", False),
        ("a.csv", b"", False),
    ],
)
def test_a_page_is_recognised_by_its_bytes(name: str, head: bytes, page: bool) -> None:
    assert is_web_page(name, head) == page
