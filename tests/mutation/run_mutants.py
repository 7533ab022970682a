"""
Mutation testing: change the code in one small place at a time, and see whether the tests of that file notice.

    python tests/mutation/run_mutants.py [MODULE ...] [--sample N] [--seed S] [--keep]

`modules.toml` names the modules, their tests and the kinds of change. Sources on disk stay as they are: every mutant
lives in a forked copy of a process that has imported torch and the like once. Its tests are those that call the
changed function, quickest first; if they all pass, the other tests of the module follow. Results go to
`outputs/mutation/`. `survivors.toml` says of which mutants it is known why they survive.
"""

import argparse
import ast
import contextlib
import gc
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from mutants import Mutant, changed_lines, mutants_of, sampled

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((Path(__file__).parent / "modules.toml").read_text("utf-8"))
EXCUSES = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text("utf-8"))["reasons"]
OWN_MODULES = {"ldebm_hf", "tests", "conftest", *(path.stem for path in (REPOSITORY / "tests").rglob("*.py"))}
LEAST_KILLED = 0.95
# Without the plugin that collects garbage ten times at the end, which takes longer than most tests.
PYTEST_OPTIONS = ["-qx", "-m", "not slow", "--no-header", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]


@dataclass(frozen=True)
class Outcome:
    """
    What became of a mutant.

    Args:
        mutant ([`Mutant`]): The mutant.
        result (`str`): `killed`, `timeout` (killed too), `survived`, or `excused`: survived, and `survivors.toml` says
            why it may.
        before, after (`str`): The changed lines.
        seconds (`float`): Time that its tests took.
    """

    mutant: Mutant
    result: str
    before: str
    after: str
    seconds: float


class MutantImporter(importlib.abc.MetaPathFinder):
    """Imports a changed source in place of one module's own."""

    def __init__(self, module: str, path: Path, source: str):
        self.module, self.path, self.source = module, path, source

    def find_spec(self, fullname, path, target=None):
        if fullname != self.module:
            return None
        loader = SourceFileLoader(fullname, str(self.path))
        loader.get_code = lambda _: compile(self.source, str(self.path), "exec")
        return importlib.util.spec_from_loader(fullname, loader)


class CallRecorder:
    """A pytest plugin that records, for each test, how long it takes and which functions of a file it calls.

    Functions are named by the line on which they begin. What a fixture for several tests calls counts for all of them.
    """

    def __init__(self, path: Path):
        self.path, self.current = str(path), set()
        self.calls: dict[str, set[int]] = defaultdict(set)
        self.shared: dict[str, set[int]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename == self.path:
            self.current.add(frame.f_code.co_firstlineno)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.current = self.calls[item.nodeid]
        started = time.monotonic()
        sys.settrace(self)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.seconds[item.nodeid] = time.monotonic() - started

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        outer, self.current = self.current, self.shared[request.node.nodeid]
        try:
            return (yield)
        finally:
            self.current = outer

    def table(self) -> dict:
        """Seconds and first lines of functions by test."""
        tests = {}
        for test, lines in self.calls.items():
            shared = [calls for node, calls in self.shared.items() if test.startswith(node)]
            tests[test] = {"seconds": self.seconds[test], "functions": sorted(lines.union(*shared))}
        return tests


def in_a_copy(action: Callable[[], int], timeout: float | None = None) -> int | None:
    """Call an action in a forked process, and return its exit status; `None` if it ran out of time."""
    child = os.fork()
    if child == 0:
        os.setsid()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        try:
            status = int(action())
        except BaseException:  # whatever a mutant raises outside the tests, the copy must end here
            status = 1
        os._exit(status)
    started, pause = time.monotonic(), 0.02
    while timeout is None or time.monotonic() - started < timeout:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class ModuleRun:
    """The mutants of one module and the tests that must notice them."""

    def __init__(self, name: str, tests: list[str]):
        self.name, self.tests = name, tests
        self.path = REPOSITORY / "ldebm_hf" / f"{name}.py"
        self.module = "ldebm_hf." + name.replace("/", ".")
        self.source = self.path.read_text("utf-8")
        self.functions = functions_of(self.source)
        self.excused = {(excuse["before"], excuse["after"]) for excuse in EXCUSES if excuse["module"] == name}

    def measure_tests(self, known_tests: list[str]) -> None:
        """Run the tests on the module as it is, keep what each calls, and import whatever else they imported.

        Args:
            known_tests (`list[str]`): Tests to leave out.

        Raises:
            SystemExit: They do not pass, alone or in a copy of this process.
        """
        with tempfile.NamedTemporaryFile("r", suffix=".json") as file:

            def record() -> int:
                recorder = CallRecorder(self.path)
                left_out = [f"--deselect={test}" for test in known_tests]
                status = pytest.main([*PYTEST_OPTIONS, *self.tests, *left_out], plugins=[recorder])
                imported = [name for name in sys.modules if name.partition(".")[0] not in OWN_MODULES]
                Path(file.name).write_text(json.dumps([recorder.table(), imported]), "utf-8")
                return status

            started = time.monotonic()
            if in_a_copy(record) not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
                raise SystemExit(f"the tests of {self.name} fail without any mutant: {' '.join(self.tests)}")
            self.timeout = max(SETTINGS["least_seconds"], SETTINGS["timeout_factor"] * (time.monotonic() - started))
            self.table, imported = json.load(file)
        for name in imported:
            with contextlib.suppress(Exception):  # parts of packages that cannot be imported by themselves
                importlib.import_module(name)
        gc.freeze()  # copies of this process need not look through what is imported
        if self.table and self.status_with(self.source, list(self.table)) != 0:
            raise SystemExit(f"the tests of {self.name} pass by themselves, but not in a copy of this process")

    def status_with(self, source: str, tests: list[str]) -> int | None:
        """Exit status of the tests in a copy of this process where the module has this source; `None`: out of time."""

        def run() -> int:
            sys.meta_path.insert(0, MutantImporter(self.module, self.path, source))
            return pytest.main([*PYTEST_OPTIONS, *tests])

        return in_a_copy(run, self.timeout)

    def tests_calling(self, line: int) -> list[str]:
        """The tests that call the function around a line, quickest first; all tests for a line outside functions."""
        around = [first for first, (start, end) in self.functions.items() if start <= line <= end]
        tests = sorted(self.table, key=lambda test: self.table[test]["seconds"])
        if around:
            return [test for test in tests if max(around) in self.table[test]["functions"]]
        return tests

    def try_mutant(self, mutant: Mutant) -> Outcome | None:
        """Run the tests on a mutant; `None` if it is the same program."""
        mutated = mutant.apply(self.source)
        if mutated is None:
            return None
        started, first = time.monotonic(), self.tests_calling(mutant.line)
        status: int | None = 0
        for tests in (first, [test for test in self.table if test not in first]):
            if tests and status == 0:
                status = self.status_with(mutated, tests)
        lines = changed_lines(self.source, mutated)
        result = {0: "survived", None: "timeout"}.get(status, "killed")
        if result == "survived" and lines in self.excused:
            result = "excused"
        return Outcome(mutant, result, *lines, time.monotonic() - started)

    def run(self, size: int | None, seed: int, earlier: dict) -> dict:
        """
        Try all mutants or a sample of them, and return the counts, with the survivors.

        Args:
            size (`int`, *optional*), seed (`int`): As in [`sampled`].
            earlier (`dict`): What an earlier call has returned. Mutants that were killed then are not tried again, and
                those that survived only on tests that there were not yet. Empty if there is none.
        """
        digest = hashlib.sha256(self.source.encode()).hexdigest()[:16]
        if earlier.get("source") != digest:
            earlier = {}
        known = earlier.get("killed_mutants", [])
        same_sample = (earlier.get("sample"), earlier.get("seed")) == (size, seed)
        known_tests = earlier.get("tests", []) if same_sample else []
        self.measure_tests(known_tests)
        mutants = mutants_of(self.source, SETTINGS["operators"])
        chosen = sampled(mutants, size, seed)
        killed, survivors = [], []
        for number, mutant in enumerate(chosen, start=1):
            name = [mutant.operator, mutant.occurrence]
            if name in known:
                killed.append(name)
                continue
            outcome = self.try_mutant(mutant)
            if outcome is None:
                continue
            print(f"{self.name} {number}/{len(chosen)} {outcome.seconds:.1f} s {told(outcome)}", flush=True)
            if outcome.result in ("killed", "timeout"):
                killed.append(name)
            else:
                survivors.append(outcome)
        num_excused = sum(outcome.result == "excused" for outcome in survivors)
        return {
            "module": self.name,
            "source": digest,
            "mutants": len(mutants),
            "tried": len(killed) + len(survivors),
            "killed": len(killed),
            "excused": num_excused,
            "survived": len(survivors) - num_excused,
            "sample": size,
            "seed": seed,
            "survivors": [asdict(outcome) for outcome in survivors],
            "killed_mutants": killed,
            "tests": [*known_tests, *self.table],
        }


def functions_of(source: str) -> dict[int, tuple[int, int]]:
    """First and last line of every function's body, by the line on which the function, or its decorator, begins."""
    functions = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            functions[first] = node.body[0].lineno, node.end_lineno
    return functions


def told(outcome: Outcome) -> str:
    """One line about an outcome; for a survivor, what was changed."""
    place = f"{outcome.result}: line {outcome.mutant.line}, {outcome.mutant.operator}"
    if outcome.result in ("killed", "timeout"):
        return place
    return f"{place}\n    - {outcome.before}\n    + {outcome.after}"


def chosen_modules(names: list[str]) -> dict[str, list[str]]:
    """The modules with these names, or whose path ends or begins with one of them; all for no names."""
    modules = SETTINGS["modules"]
    chosen = {}
    for name in names or modules:
        found = {
            path: tests
            for path, tests in modules.items()
            if name in (path, path.partition("/")[2], path.partition("/")[0])
        }
        if not found:
            raise SystemExit(f"no module {name!r} in modules.toml, which has {', '.join(modules)}")
        chosen |= found
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Change the code in one place at a time and see whether tests notice."
    )
    parser.add_argument("modules", nargs="*", help="names as in modules.toml, such as langevin; default: all")
    parser.add_argument("--sample", type=int, help="number of mutants of each module; default: all")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are sampled")
    parser.add_argument(
        "--keep", action="store_true", help="go on from an earlier run on this source: try survivors on new tests"
    )
    parser.add_argument("--output_dir", type=Path, default=REPOSITORY / "outputs/mutation", help="for the results")
    options = parser.parse_args()
    modules = chosen_modules(options.modules)
    os.chdir(REPOSITORY)
    os.environ["OMP_NUM_THREADS"] = "1"  # a copy of a process has none of its threads
    sys.path.insert(0, str(REPOSITORY))
    importlib.import_module("torch")
    options.output_dir.mkdir(parents=True, exist_ok=True)
    enough = True
    for name, tests in modules.items():
        file = options.output_dir / f"{name.replace('/', '.')}.json"
        earlier = json.loads(file.read_text("utf-8")) if options.keep and file.exists() else {}
        summary = ModuleRun(name, tests).run(options.sample, options.seed, earlier)
        file.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
        share = summary["killed"] / max(summary["tried"] - summary["excused"], 1)
        print(
            f"{name}: {summary['killed']} of {summary['tried']} mutants killed, {summary['excused']} excused, "
            f"{summary['survived']} survived ({share:.1%} killed of those not excused; {summary['mutants']} in all)"
        )
        enough = enough and share >= LEAST_KILLED
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
