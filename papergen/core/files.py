"""Files that appear whole or not at all, and digests of their content."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import re
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from papergen.core.errors import DiskFullError, MachineError, PapergenError


def write_atomic(path: Path, content: bytes | str, *, is_durable: bool = True) -> None:
    """Write `content` so that `path` holds the old bytes or all the new ones, through a crash or a full disk too.

    A temporary name in the same folder, fsync, rename, fsync of the folder. Raises MachineError when the disk is full
    or the folder cannot be written. Not `is_durable`: without fsync, for what may be lost when the power fails.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: a rename between file systems is no rename. 40 characters: names have at most 255 bytes.
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~_umask())  # mkstemp makes it readable by nobody else
            stream.write(data)
            stream.flush()
            if is_durable:
                # Before the rename: ext4 and XFS may write the new name to the disk before the content, and after a
                # power cut the file would be there and empty.
                os.fsync(stream.fileno())
        Path(temporary).replace(path)
        temporary = None
        if is_durable:
            sync_folder(path.parent)  # the name itself is content of the folder
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def disk_error(error: OSError, path: Path) -> MachineError:
    """The user's words for what the operating system said about `path`."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(f"{path}: the disk is full.", hint="Free some space and run the same command again.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return MachineError(f"{path}: not writable ({error.strerror}).", hint="Check the folder's permissions.")
    return MachineError(f"{path}: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it: another thread's file of this instant may be world-writable
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, *, is_durable: bool = True) -> None:
    """Write `value` as readable, sorted, deterministic JSON; refuses NaN and infinity, which JSON does not have."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text, is_durable=is_durable)


def write_compressed(path: Path, content: bytes) -> None:
    """Write `content` by gzip, atomically; the same content gives the same bytes."""
    write_atomic(path, gzip.compress(content, mtime=0))


def compress(path: Path) -> Path:
    """Replace a large file by its gzip beside it (`NAME.gz`), which is whole before the other goes."""
    packed = path.with_name(f"{path.name}.gz")
    temporary = path.with_name(f".{path.name}.gz.tmp")
    try:
        with path.open("rb") as source, temporary.open("wb") as target:
            with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as stream:
                shutil.copyfileobj(source, stream)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(packed)
        path.unlink()  # last: a crash in between leaves both, and readers take the packed one
    except OSError as error:
        raise disk_error(error, packed) from error
    return packed


def read_json(path: Path) -> Any:
    """The value in a JSON file; a PapergenError names the file and the line when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PapergenError(f"{path}:{error.lineno}: not valid JSON ({error.msg}).") from error
    except UnicodeDecodeError as error:
        raise PapergenError(f"{path}: not UTF-8 text (byte {error.start}).") from error


def last_lines(path: Path, num_lines: int = 20, num_bytes: int = 8192) -> list[str]:
    """The last lines of a log, which may be huge, as far as they lie in its last bytes; none where there is no file."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - num_bytes))
        return stream.read().decode(errors="replace").splitlines()[-num_lines:]


def read_text(path: Path, shown: str) -> str:
    """A text file of the author's with plain line ends, without the byte-order mark that Windows puts first.

    MachineError when it cannot be read, PapergenError when it is not there or not UTF-8 (`decoded`).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise PapergenError(f"{shown}: there is no such file.") from error
    except OSError as error:
        raise MachineError(f"{shown}: {error.strerror}") from error
    return decoded(content, shown).replace("\r\n", "\n").replace("\r", "\n")


def decoded(content: bytes, shown: str) -> str:
    """The text of bytes in UTF-8, without a byte-order mark and with the line ends that it has.

    Nothing else is ever read, as a guess may be wrong and nobody sees it: PapergenError names the line and the remedy.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, remedy = not_utf8(content, error)
        raise PapergenError(f"{shown}:{line}: not UTF-8 text. {remedy}") from error


def not_utf8(content: bytes, error: UnicodeDecodeError) -> tuple[int, str]:
    """The line of the first byte that is not UTF-8, and a sentence that says how the file becomes it."""
    found = likely_encoding(content)
    known = f"It seems to be {found}: " if found else "With ENCODING what it was saved in (a Western text: CP1252): "
    command = f"iconv -f {found or 'ENCODING'} -t UTF-8 FILE > NEW"
    return content[: error.start].count(b"\n") + 1, f"Save the file as UTF-8. {known}{command} does that."


def likely_encoding(content: bytes) -> str | None:
    """What bytes that are not UTF-8 most likely are, of the encodings that Chinese editors write; None if neither."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "UTF-16"
    try:
        foreign = [char for char in content.decode("gb18030") if not char.isascii()]
    except UnicodeDecodeError:
        return None
    # Western text of one byte a letter decodes here and there as well, but hardly ever to letters in common use.
    common = sum(len(char.encode("gb2312", errors="ignore")) for char in foreign) / 2
    return "GB18030" if foreign and common > len(foreign) / 2 else None


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, NaN refused; what digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_bytes(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def slug(text: str) -> str:
    """`text` as a file name in [a-z0-9-], safe for TeX; other letters become their code points (`中` -> `u4e2d`)."""
    plain = unicodedata.normalize("NFKD", text).lower()
    kept = [c if c.isascii() else f"u{ord(c):x}" for c in plain if not unicodedata.combining(c)]
    return re.sub(r"[^a-z0-9]+", "-", "".join(kept)).strip("-") or "x"
