"""Archives that are the same bytes for the same files: sorted names, one date, no owner, no machine in them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from papergen.core.errors import PapergenError
from papergen.core.files import write_atomic

EPOCH = (2024, 1, 1, 0, 0, 0)
"""The date of every file in an archive, the one inside our PDFs too."""
EPOCH_S = 1_704_067_200
ENDINGS = (".zip", ".tar.gz", ".tgz")


def require_ending(path: Path) -> None:
    """PapergenError when the name ends like no archive that can be written."""
    if not path.name.endswith(ENDINGS):
        raise PapergenError(f"{path}: an archive ends in {', '.join(ENDINGS)}.", hint="Give --output such a name.")


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files (relative POSIX name -> bytes) as the archive that the name's ending asks for."""
    require_ending(path)
    if path.name.endswith(".zip"):
        write_atomic(path, _zip(files))
    else:
        write_atomic(path, _tar(files))


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=9, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), EPOCH_S, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
