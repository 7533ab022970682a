"""A table of the paper by its name: examples/evaluate.py with the file of that table, and the same options.

    python examples/reproduce.py table4_smd --data_dir data/smd --seeds 0,1,2
    python examples/reproduce.py table7 --data_dir data/yelp --rows ldebm
    python examples/reproduce.py table3 --help
"""

import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent
TABLES = {path.stem: path for path in sorted((EXAMPLES / "tables").glob("*.yaml"))}


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name in ("-h", "--help"):
        print(f"{__doc__}\nTables: {', '.join(TABLES)}")
        return
    if name not in TABLES:
        sys.exit(f"error: give the name of a table first, one of {', '.join(TABLES)}; got {name!r}")
    script = str(EXAMPLES / "evaluate.py")
    sys.argv = [script, "--config", str(TABLES[name]), *options]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
