"""bundle: a data set and a notebook that predict a competition's test files on Kaggle."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from darkroom.cli.predict import check_place, load_predictor, require_all_folds
from darkroom.cli.preflight import checks
from darkroom.cli.preflight.checks import SubmissionFile, kaggle_competition
from darkroom.deploy.bundle import DATASET, KERNEL, Models, require_place, write_bundle
from darkroom.deploy.kernel import OUTPUT, Kernel, slug_of
from darkroom.errors import ParamsError, ResourceError
from darkroom.project import files
from darkroom.project.files import file_sha256
from darkroom.project.paths import home
from darkroom.remote.kaggle import notebooks
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.stages._context import Context
from darkroom.submission.upload.notebook import Notebook

BUNDLES = Path("bundles")
WHEELS = Path(".darkroom/wheels")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def run(context: Context, out: Path | None = None, user: str | None = None) -> None:
    """Write the bundle of a section or a blend, after a check that its networks can predict.

    Args:
        context: The competition.
        out: The folder to write; None: bundles/NAME.
        user: Kaggle's name of the account; None: that of KAGGLE_USERNAME.

    Raises:
        ParamsError: It is of no competition of Kaggle, the account is not known, or the folder
            holds something else.
        ArtifactError: A model, the decision or the card is absent, or they do not fit together.
        RemoteError: The wheels that Kaggle lacks could not be fetched.
        ResourceError: Another run writes or uploads the bundle of this folder.
    """
    out = BUNDLES / context.name if out is None else out
    kernel = make_kernel(context, user or os.environ.get("KAGGLE_USERNAME", ""))
    check_place(context, out)
    require_place(out)
    with _lock(out):
        size = write(context, kernel, out)
    print(
        f"{context.name}: {size / 1e6:,.1f} MB in {out}. Next, with Kaggle's own client:\n"
        f"  kaggle datasets create -p {out / DATASET}    # later: kaggle datasets version\n"
        f"  kaggle kernels push -p {out / KERNEL}\n"
        f"Then submit the notebook's output at https://www.kaggle.com/code/{kernel.ref}"
    )


def make_kernel(context: Context, user: str) -> Kernel:
    """Return the notebook of a section or a blend.

    Raises:
        ParamsError: It is of no competition of Kaggle, or the account is not known.
    """
    competition = kaggle_competition(context.name, context.section.data)
    if not _USER.fullmatch(user):
        raise ParamsError(
            "Kaggle's name of your account is needed: data sets and notebooks begin with it",
            found=user or "neither --user nor KAGGLE_USERNAME",
            expected="--user NAME, as in the address https://www.kaggle.com/NAME",
        )
    has_gpu = context.section.predict.accelerator != "cpu"
    return Kernel(context.name, user.lower(), slug_of(context.name), competition, has_gpu)


def write(context: Context, kernel: Kernel, out: Path) -> int:
    """Write a bundle whose networks, decision and card fit together; return its size, bytes."""
    predictor = load_predictor(context, None, needs_card=True)
    require_all_folds(context, predictor)
    sections = context.members or (context,)
    models = Models(
        members=[each.paths for each in sections],
        folds=context.folds,
        infos=[info for each in (predictor, *predictor.others) for info in each.infos],
    )
    return write_bundle(out, kernel, context.paths, models, home() / WHEELS)


@contextmanager
def prepared(
    context: Context, policy: RetryPolicy, *, uncommitted: bool
) -> Iterator[tuple[SubmissionFile, Notebook]]:
    """Write a bundle to submit; yield what is known of it, and the notebook.

    No other run replaces the bundle while the block runs: an upload may take an hour, and the
    history names the models that it began with.

    Args:
        context: The competition.
        policy: Between tries.
        uncommitted: Whether to accept models that the committed parameters do not reproduce.

    Raises:
        ParamsError: It has no competition on Kaggle, or something is not committed.
        ArtifactError: The models, the decision or the card do not fit together.
        RemoteError: Kaggle or the package index refused, or could not be reached.
        ResourceError: Another run writes or uploads the bundle.
    """
    models = checks.verify_models(context, uncommitted=uncommitted)
    user = retry(notebooks.account_name, policy, what="the account")
    kernel = make_kernel(context, user)
    out = BUNDLES / context.name
    with _lock(out):
        size = write(context, kernel, out)
        notebook = Notebook(kernel.ref, out / DATASET, out / KERNEL, OUTPUT)
        yield checks.with_contents(models, size=size, sha256=_digest(out)), notebook


def _lock(out: Path) -> AbstractContextManager[None]:
    """Return a lock on a bundle's folder, beside it: the folder itself is replaced.

    Raises:
        ResourceError: Another run holds it.
    """

    def refuse() -> None:
        raise ResourceError(
            "another run writes or uploads this bundle",
            file=out,
            fix="wait until it has ended; or write another bundle: `darkroom bundle --out FOLDER`",
        )

    folder = Path(os.path.realpath(out))
    files.make_folder(folder.parent)
    return files.lock(folder.with_name(f".{folder.name}.lock"), busy=refuse)


def _digest(folder: Path) -> str:
    """Return the sha256 of a folder's names and bytes."""
    digest = hashlib.sha256()
    for entry in files.walk_files(folder):
        name = Path(entry.path).relative_to(folder).as_posix()
        digest.update(f"{name}\0{file_sha256(Path(entry.path))}\n".encode())
    return digest.hexdigest()
