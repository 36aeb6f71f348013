"""TensorBoard's event files, complete after every write, and truncated when a run is resumed from its backup."""

from __future__ import annotations

import os
import secrets
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.support.whole_files import naming

# The parts of the package tensorboard that are used here need neither TensorFlow nor a running server.


class EventFiles:
    """The event files of one run: a folder for each side ("train", "validation"), in it a file for each process.

    Every call writes whole records and closes the file, so that a killed process loses nothing that was written.
    `state` has the length of each file; `set_state` truncates the files to it and removes later files of this run.
    Other files in the folders are unchanged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = secrets.token_hex(4)  # a mark in the names of this run's files
        self.files: dict[str, dict[str, int]] = {}  # by side, by name: bytes
        self.current: dict[str, Path] = {}

    def write(self, side: str, step: int, *contents: Mapping[str, Any], now: float | None = None) -> None:
        """Add an event of the time ``now`` for each of ``contents``: its fields, such as ``{"summary": ...}``."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        now = time.time() if now is None else now
        events = [Event(wall_time=now, step=step, **content) for content in contents]
        path = self.current.get(side)
        if path is None:
            path = self.current[side] = self.begin(side, now)
            events.insert(0, Event(wall_time=now, file_version="brain.Event:2"))
        with naming(path), path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
            file.flush()
            self.files.setdefault(side, {})[path.name] = file.tell()

    def begin(self, side: str, now: float) -> Path:
        """A new name that sorts after the others, since TensorBoard reads the files in the order of their names."""
        folder = self.folder / side
        folder.mkdir(parents=True, exist_ok=True)
        place = f"{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        number = len(self.files.get(side, {}))
        return folder / f"events.out.tfevents.{place}.{number}.{self.run}"

    def state(self) -> dict[str, Any]:
        return {"run": self.run, "files": {side: dict(files) for side, files in self.files.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.run = state["run"]
        self.files = {side: dict(files) for side, files in state["files"].items()}
        self.current = {}
        for path in self.folder.glob(f"*/events.out.tfevents.*.{self.run}"):
            length = self.files.get(path.parent.name, {}).get(path.name, 0)
            if not length:
                path.unlink()
            elif path.stat().st_size > length:
                os.truncate(path, length)


def summary(kind: str, tag: str, value: Any) -> dict[str, Any]:
    """A "scalar" of a float, a "histogram" of an array in float64, a "text" in Markdown, or an "image" (h, w, c) of
    uint8.
    """
    if kind == "image":
        height, width, channels = value.shape
        image = dict(height=height, width=width, colorspace=channels, encoded_image_string=png(value))
        return record(tag, image=image)
    from tensorboard.plugins.histogram.summary_v2 import histogram_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    made = {"scalar": scalar_pb, "histogram": histogram_pb, "text": text_pb}[kind]
    return {"summary": made(tag, value)}


def record(tag: str, **content: Any) -> dict[str, Any]:
    """A value of the first kind of TensorBoard's records: a ``simple_value``, a ``histo`` or an ``image``."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return {"summary": Summary(value=[Summary.Value(tag=tag, **content)])}


def png(image: Any) -> bytes:
    """The file of an image (h, w, c) of uint8, with 1 (grey), 3 (RGB) or 4 channels (PNG specification, W3C, 2003)."""
    height, width, channels = image.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1)  # 0: rows are not filtered

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows.tobytes())), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
