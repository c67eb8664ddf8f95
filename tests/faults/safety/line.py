"""A line that keeps data safe."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
HOUSE = Path("src/darkroom")


@dataclass(frozen=True)
class SafetyLine:
    """A line of the source that keeps data safe.

    Attributes:
        purpose: What it is for.
        file: Below src/darkroom.
        fragment: Text that occurs once in the file.
        replacement: What stands there without it.
        tests: What is run, as arguments of pytest.
    """

    purpose: str
    file: str
    fragment: str
    replacement: str
    tests: tuple[str, ...]

    def fault(self, root: Path = ROOT) -> str:
        """Return why the line can't be taken out, or ""."""
        path = root / HOUSE / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text().count(self.fragment)
        if count != 1:
            return f"{self.file} holds {count} times: {self.fragment!r}"
        if self.replacement == self.fragment:
            return f"nothing changes: {self.fragment!r}"
        absent = [test for test in self.tests if not (root / test.partition("::")[0]).exists()]
        return f"no tests {', '.join(absent)}" if absent else ""

    def without(self, text: str) -> str:
        """Return the text of the file without the line."""
        return text.replace(self.fragment, self.replacement)
