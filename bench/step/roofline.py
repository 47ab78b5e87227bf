"""The roofline: what a step of so many callers costs at least, from the bytes it reads and the sums it does.

    max(W / bandwidth, B x F / tensor) + B x R / bandwidth + max((w + B x r) / bandwidth, B x f / single)

B callers; of the language model W bytes of weights, R bytes of cache and F sums a caller; of Mimi w, r and f, in
float32. The products of the language model, its attention and Mimi come one after another; each is bound by memory or
by arithmetic. Of a data sheet's figures a good program attains about 75 % of the bandwidth and 60 % of the dense tensor
peak: those shares are what is divided by. Where there is no data sheet, what a copy and a product attained is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.checkpoint import row_bytes

OF_BANDWIDTH, OF_PEAK = 0.75, 0.6
SINGLE = 4  # bytes of Mimi's numbers
# Kyutai's Mimi without its decoder: the parameters were counted, the sums too, and what one layer hands to the next.
MIMI_WEIGHTS, MIMI_PASSED_ON, MIMI_SUMS = 225e6, 11.3e6, 0.47e9  # bytes, bytes a caller, sums a caller


@dataclass(frozen=True, slots=True)
class Device:
    """What a device attains: bytes a second, sums a second in bfloat16 and in float32 (TF32 on a GPU); its memory."""

    name: str
    bandwidth: float
    tensor: float
    single: float
    memory: float
    source: str


def _sheet(name: str, bandwidth: float, tensor: float, single: float, memory: float) -> Device:
    """From NVIDIA's data sheet: TB/s, dense TFLOP/s in BF16 and in TF32 (half of what is told "with sparsity"), GB."""
    source = f"NVIDIA's data sheet, {OF_BANDWIDTH:.0%} of the bandwidth and {OF_PEAK:.0%} of the dense peak"
    attained = (bandwidth * 1e12 * OF_BANDWIDTH, tensor * 1e12 * OF_PEAK, single * 1e12 * OF_PEAK)
    return Device(name, *attained, memory * 1e9, source)


SHEETS = {
    device.name: device
    for device in (  # by the name that the driver gives
        _sheet("NVIDIA H200", 4.8, 989.5, 494.7, 141),
        _sheet("NVIDIA H100 80GB HBM3", 3.35, 989.5, 494.7, 80),
        _sheet("NVIDIA A100-SXM4-80GB", 2.039, 312, 156, 80),
        _sheet("NVIDIA L40S", 0.864, 362, 183, 48),
        _sheet("NVIDIA L4", 0.3, 121, 60, 24),
    )
}
H200, L40S = SHEETS["NVIDIA H200"], SHEETS["NVIDIA L40S"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a step reads and does: bytes of weights, bytes and sums a caller."""

    lm_weights: float
    lm_row: float
    lm_sums: float
    mimi_weights: float
    mimi_row: float
    mimi_sums: float

    @classmethod
    def of(cls, settings: Mapping[str, Any], codec: Mapping[str, Any] | None, item: int) -> "Costs":
        """Of the model that `settings` (config.json) describes, with numbers of `item` bytes.

        Of a Mimi that is not Kyutai's (`codec`) only the caches are counted.
        """
        dim, layers, context = settings["dim"], settings["num_layers"], settings["context"]
        inner = int(2 * settings["hidden_scale"] * dim / 3)
        read = layers * (4 * dim**2 + 3 * dim * inner) + dim * settings["text_card"]
        ring = 2 * layers * context * dim * item
        heard = row_bytes(settings, codec, item, SINGLE) - ring
        mimi = (MIMI_WEIGHTS, heard + MIMI_PASSED_ON, MIMI_SUMS) if codec is None else (0.0, float(heard), 0.0)
        return cls(read * item, ring, 2 * read + 4 * context * dim * layers, *mimi)


def roofline(costs: Costs, device: Device, rows: int) -> float:
    """Milliseconds of a step of so many rows."""
    products = max(costs.lm_weights / device.bandwidth, rows * costs.lm_sums / device.tensor)
    attention = rows * costs.lm_row / device.bandwidth
    read = (costs.mimi_weights + rows * costs.mimi_row) / device.bandwidth
    return (products + attention + max(read, rows * costs.mimi_sums / device.single)) * 1e3
