"""What libraries say about a damaged file, as one line."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

import pandas as pd
import pyarrow as pa

from ...errors import UserError


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Make what is wrong with a file one line."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: is empty") from None
    except (ValueError, EOFError, OSError, zlib.error, LZMAError, zipfile.BadZipFile, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: is no table, or a damaged one: {' '.join(str(error).split())}") from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise UserError(f"{path}: is protected by a password: unpack it") from None
