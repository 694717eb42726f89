"""`python -m papergen.execution.worker SPEC.json` is one rank, by RANK and WORLD_SIZE.

`--forkserver PARENT` serves a LocalLauncher; `--spawn SPEC.json RANKS` and `--torchrun SPEC.json RANKS` start the ranks
of this machine and wait for them; `--end-sessions` ends what a launcher that was killed has started.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from papergen.core.files import read_json
from papergen.execution.worker.spec import NodeRanks, RankSpec
from papergen.execution.worker.system import die_with_parent, end_sessions_of_parent, lead_own_group


def spec_at(path: str) -> RankSpec:
    """The spec in a file."""
    return RankSpec.from_json(read_json(Path(path)))


def main() -> None:
    """Start the process that the arguments name."""
    match sys.argv[1:]:
        case ["--forkserver", parent]:
            # By number: a launcher that was killed while this started is nobody's parent any more.
            die_with_parent(int(parent))
            from papergen.execution.worker import forkserver

            forkserver.main(int(parent))
        case ["--end-sessions"]:
            end_sessions_of_parent()
        case ["--spawn" | "--torchrun" as how, path, node_ranks]:
            from papergen.execution.worker import torchrun

            die_with_parent(os.getppid())
            mine = NodeRanks(**json.loads(node_ranks))
            if how == "--spawn":
                sys.exit(torchrun.spawn(spec_at(path), mine))
            sys.exit(torchrun.torchrun(spec_at(path), mine, ["-P", "-m", "papergen.execution.worker", path]))
        case [path]:
            from papergen.execution.worker.rank import run_here

            die_with_parent(os.getppid())
            lead_own_group()
            run_here(spec_at(path))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
