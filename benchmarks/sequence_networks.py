"""The networks on sequences: a table of parts for each."""

from __future__ import annotations

from benchmarks.sequence import (
    RATE,
    Attention,
    Bands,
    Block,
    Conv,
    Convs,
    Dense,
    Embed,
    GlobalPool,
    Mean,
    Norm,
    Part,
    Positions,
    Project,
    Recurrent,
    Sequence,
)  # fmt: skip

WORDS, CHARACTERS = 20_000, 96
ROWS = (28, 28)  # of an image
UNITS = 128
KINDS = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}


def _gpt(layers: int) -> tuple[Part, ...]:
    blocks = (Block(4, 512, causal=True, gelu=True),) * layers
    return (Embed(CHARACTERS, 128), Positions(), *blocks, Norm(), Dense(CHARACTERS))


SEQUENCES: dict[str, Sequence] = {
    **{
        kind: Sequence(f"{title} {UNITS} over 28 rows of 28", ROWS, (Recurrent(kind, UNITS), Dense(10)))
        for kind, title in KINDS.items()
    },
    "bilstm": Sequence(
        "two bidirectional LSTM 64 over 200 tokens with masks",
        (200,),
        (
            Embed(WORDS, 64, masked=True),
            Recurrent("lstm", 64, every=True, both=True),
            Recurrent("lstm", 64, both=True),
            Dense(2),
        ),
    ),
    "transformer": Sequence(
        "transformer: 2 layers of 64, 4 heads, 256 hidden, 28 rows of 28",
        ROWS,
        (Project(64), Positions(), Block(4, 256), Block(4, 256), Norm(), Mean(), Dense(10)),
    ),
    **{
        name: Sequence(f"GPT: {layers} layers of 128, 4 heads, 128 characters", (128,), _gpt(layers))
        for name, layers in (("gpt", 4), ("gpt12", 12))
    },
    "charlm": Sequence(
        f"LSTM {UNITS} that writes characters",
        (128,),
        (Embed(CHARACTERS, 128), Recurrent("lstm", UNITS, every=True), Dense(CHARACTERS)),
    ),
    "bag": Sequence(
        "embedding 20,000 x 64, mean over 200 tokens, dense 8", (200,), (Embed(WORDS, 64), Mean(), Dense(8))
    ),
    "textcnn": Sequence(
        "text CNN: embedding 20,000 x 64, widths 3, 4, 5 of 128 filters, maximum over 200 tokens",
        (200,),
        (Embed(WORDS, 64), Convs((3, 4, 5), 128), Dense(8)),
    ),
    "speech": Sequence(
        "log-mel of 1 s at 16 kHz, convolutions 3x3 of 32 and 64",
        (RATE,),
        (Bands(512, 160, 40), Conv(32), Conv(64), GlobalPool(), Dense(10)),
    ),
    "attention": Sequence(
        "causal attention alone: 4 heads of 64, 4,096 positions", (4096, 3 * 4 * 64), (Attention(4),)
    ),
}
