import pytest

from benchmarks import augment


@pytest.mark.slow
def test_both_libraries_give_nearly_the_same_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    """Which is what makes their times comparable; no other test sees a change of the library's."""
    augment.main(["--quick", "--data", "nowhere"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    differences = {cells[0].strip("| "): cells[4:] for cells in lines}
    assert set(differences) == set(augment.pairs())
    for name, (mean, _, masks) in differences.items():
        if name not in augment.RANDOM:
            assert float(mean) < (12 if name == "equalize" else 1.5), name
            assert float(masks.strip("|% ")) < 0.1, name
