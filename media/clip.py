"""A recording on disk as audio, for the commands and the measurements."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt


class BadClip(ValueError):
    """The file cannot be decoded as audio; the message says why."""


def read_clip(path: str | Path, rate: int) -> npt.NDArray[np.float32]:
    """The whole file as mono float32 at `rate`. Raises BadClip. Trusted files only: nothing here is limited."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise BadClip(f"{path} has no audio")
            parts = list(_resampled(container, rate))
    except (OSError, av.FFmpegError) as error:
        raise BadClip(f"{path} cannot be read as audio: {error.strerror or error}") from None
    if not parts:
        raise BadClip(f"{path} has no audio")
    return np.concatenate(parts)


def _resampled(container: "av.container.InputContainer", rate: int) -> Iterator[npt.NDArray[np.float32]]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    for frame in container.decode(audio=0):
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray()[0].astype(np.float32, copy=False)
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()[0].astype(np.float32, copy=False)
