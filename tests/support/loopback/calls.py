"""Calls of Kaggle's interface as its clients make them, and what they are about in tests."""

import random
from typing import Any

import requests

from tests.support.loopback import TOKEN, Kaggle

SLUG, REF = "carvana-image-masking-challenge", "jessicali9530/celeba-dataset"
BODY = random.Random(0).randbytes(100_000)


def address(kaggle: Kaggle, method: str) -> str:
    """Return a method's address."""
    about = "dataset" if "Dataset" in method else "competition"
    return kaggle.url(f"/api/v1/{about}s.{about.capitalize()}ApiService/{method}")


def call(kaggle: Kaggle, method: str, token: str | None = TOKEN, **body: Any) -> requests.Response:
    """Call a method as kagglesdk does, without following where it leads."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = address(kaggle, method)
    return requests.post(url, json=body, headers=headers, allow_redirects=False, timeout=5)
