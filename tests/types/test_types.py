"""What a strict type checker that the project does not use itself says of programs as users write them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.house import ROOT

HERE = Path(__file__).parent
PROGRAMS = ["keras_program.py", "torch_program.py"]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The checker's reports of all files here, as (line, rule, message) by file."""
    settings = tmp_path_factory.mktemp("types") / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "typeCheckingMode": "strict",
                "include": [str(HERE)],
                "extraPaths": [str(ROOT / "src")],
                "pythonVersion": f"3.{sys.version_info.minor}",
            }
        )
    )
    files = [str(HERE / name) for name in (*PROGRAMS, "mistakes.py")]
    command = [sys.executable, "-m", "basedpyright", "-p", str(settings), "--outputjson", *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, list[tuple[int, str, str]]] = {Path(name).name: [] for name in files}
    for report in json.loads(result.stdout)["generalDiagnostics"]:
        where = report["range"]["start"]["line"] + 1
        found[Path(report["file"]).name].append((where, report.get("rule"), report["message"]))
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_no_faults(reports, name):
    assert reports[name] == []


def test_mistakes_are_found(reports):
    """Each on its line, by the rule that the line names."""
    lines = (HERE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    expected = {number: rule[1] for number, line in enumerate(lines, 1) if (rule := re.search(r"# (report\w+)", line))}
    found = {(line, rule) for line, rule, _ in reports["mistakes.py"]}
    assert expected
    assert set(expected.items()) <= found, reports["mistakes.py"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_run(name, tmp_path):
    result = processes.run((HERE / name).read_text(encoding="utf-8"), file=name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
