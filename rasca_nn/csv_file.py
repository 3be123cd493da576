"""Reading a csv file of a data folder, so that every fault names the file and, where there is one, the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasca_nn.rows import DataError


def read_csv(path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its line number; a cell that is not there is "".

    ``columns``: must be there. Raises :class:`DataError` without them and for what is no text in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}")
            for item in reader:
                if any("\0" in cell for cell in item.values()):
                    raise DataError(f"{path}:{reader.line_num}: holds a byte 0; expected text")
                yield reader.line_num, item
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no table in UTF-8 ({error})") from None
