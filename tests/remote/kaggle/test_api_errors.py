"""The messages for Kaggle's errors, as its real clients raise them."""

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api, api_errors
from tests.support.kaggle_client import REF, SLUG, words
from tests.support.loopback import TOKEN, WRONG_TOKEN, Fault, Kaggle, Page, Redirect, Status

REFUSALS: dict[str, tuple[Fault | None, str]] = {
    "wrong token": (
        None,
        f"{SLUG}: Kaggle does not accept the token in KAGGLE_API_TOKEN\n"
        "  found: 401 Unauthorized: Unauthenticated\n"
        "  to do: it may be mistyped or expired: create a new token at "
        "https://www.kaggle.com/settings/api, and replace it",
    ),
    "rules": (
        Status(403, message="You must accept this competition's rules"),
        f"{SLUG}: Kaggle refuses: usually because the competition's rules are not accepted yet\n"
        "  found: 403 Forbidden: You must accept this competition's rules\n"
        f"  to do: open https://www.kaggle.com/competitions/{SLUG}/rules, log in, accept them, and "
        "run it again",
    ),
    "unknown": (
        Status(404, message="Not found"),
        f"{SLUG}: Kaggle has nothing of that name\n"
        "  found: 404 Not Found: Not found\n"
        f"  to do: compare it with the page https://www.kaggle.com/competitions/{SLUG}",
    ),
    "its own words": (
        Status(400, message=f"No, {TOKEN}! See https://me@x.org/a?key=1 now"),
        f"{SLUG}: Kaggle refuses the request\n"
        "  found: 400 Bad Request: No, …! See https://x.org/a now\n"
        f"  to do: see https://www.kaggle.com/competitions/{SLUG}",
    ),
    "a page that refuses": (
        Status(409, html=True),
        f"{SLUG}: Kaggle refuses the request\n"
        "  found: 409 Conflict\n"
        f"  to do: see https://www.kaggle.com/competitions/{SLUG}",
    ),
    "a page": (
        Page(),
        f"{SLUG}: a web page came instead of Kaggle's response\n"
        "  found: “Sign in | Kaggle”\n"
        "  to do: open https://www.kaggle.com in a browser: a network's login or a proxy may "
        "be in between",
    ),
    "nonsense": (
        Page('{"files": 7}'),
        f"{SLUG}: Kaggle's response is invalid\n"
        "  found: ValueError: files: int instead of a list\n"
        "  to do: run it again; if the error stays, install newer kaggle, kagglehub and kagglesdk",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_say_what_to_do(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    fault, expected = REFUSALS[case]
    if fault:
        server.play("ListDataFiles", fault)
    else:
        server.redirect_clients(monkeypatch, token=WRONG_TOKEN)
    with pytest.raises(RemoteError) as error:
        api.list_competition_files(SLUG)
    assert words(error) == expected


def test_refusals_of_data_sets_and_of_the_storage(server: Kaggle) -> None:
    server.datasets[REF].is_private = True
    with pytest.raises(RemoteError) as error:
        api.dataset_bundle_opener(f"{REF}/versions/2")({})
    assert words(error) == (
        f"{REF}/versions/2: Kaggle refuses access to this data set\n"
        "  found: 403 Forbidden: Permission 'datasets.get' was denied\n"
        f"  to do: open https://www.kaggle.com/datasets/{REF}, logged in: it may be private, or "
        "ask for consent"
    )
    server.play("storage", Status(403, message="ExpiredToken"))
    with pytest.raises(RemoteError) as error:
        api.competition_file_opener(SLUG, "train.zip")({"Range": "bytes=4-"})
    assert words(error) == (
        f"{SLUG}/train.zip: the storage behind Kaggle refuses the file\n"
        "  found: 403 Forbidden\n"
        "  to do: run it again: each try gets a new address from Kaggle"
    )
    with pytest.raises(RemoteError) as error:
        api.competition_file_opener(SLUG, "test.zip")({})
    assert words(error).startswith(f"{SLUG}/test.zip: Kaggle has nothing of that name\n")


def test_endless_redirects_are_refused_by_the_api(server: Kaggle) -> None:
    server.always("GetSubmissionLimits", Redirect(to=server.url("/round")))
    server.always("storage", Redirect(to=server.url("/round?token=1")))
    with pytest.raises(RemoteError) as error:
        api.submission_limits(SLUG)
    assert words(error).startswith(
        f"{SLUG}: the request to Kaggle failed\n  found: the server redirects without end\n"
    )


def test_pages() -> None:
    assert api_errors.page_url(SLUG) == f"https://www.kaggle.com/competitions/{SLUG}"
    assert api_errors.page_url(REF) == f"https://www.kaggle.com/datasets/{REF}"
    assert api_errors.page_url(f"{REF}/versions/2") == f"https://www.kaggle.com/datasets/{REF}"
