"""The result of both label parsers: rows of numbers, before a task gives them a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class RawRows:
    """The rows of one block of text. R rows, T tokens.

    Attributes:
        file: int32 (R,) index of the file in its chunk.
        line: int32 (R,) 1-based physical line.
        n_columns: int32 (R,) tokens in the row, at least one.
        first_token: int64 (R + 1,) row r's tokens are first_token[r] to first_token[r + 1].
        tokens: float64 (T,) as float() reads them, NaN where it refuses.
        token_column: int32 (T,) 1-based character in the physical line.
        refused: int64 (K,) numbers of tokens that float() refuses, ascending.
        unusual: int64 (K,) numbers of tokens that float() accepts but most readers refuse, such as 1_0, ascending.
        text: Token number to the token as written.
    """

    file: NDArray[np.int32]
    line: NDArray[np.int32]
    n_columns: NDArray[np.int32]
    first_token: NDArray[np.int64]
    tokens: NDArray[np.float64]
    token_column: NDArray[np.int32]
    refused: NDArray[np.int64]
    unusual: NDArray[np.int64]
    text: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.file)
