"""`python -m papergen.worker --zygote`, or `python -m papergen.worker SPEC.json` for one rank by RANK, WORLD_SIZE."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Start the process that the arguments name."""
    match sys.argv[1:]:
        case ["--zygote"]:
            from papergen.worker import zygote

            zygote.main()
        case [spec_path]:
            from papergen.files import read_json
            from papergen.worker.rank import run_here
            from papergen.worker.spec import Spec
            from papergen.worker.system import die_with_parent, lead_own_group

            die_with_parent(os.getppid())
            lead_own_group()
            run_here(Spec.from_json(read_json(Path(spec_path))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
