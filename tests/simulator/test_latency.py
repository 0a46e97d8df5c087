"""Latency against published figures and hand calculations."""

from __future__ import annotations

import pytest

from photonpu.hardware import Machine
from photonpu.program import HostOperator
from photonpu.simulator.latency import Latency, flight_time_s, latency
from photonpu.simulator.work import count
from tests.simulator.handmade import Product, program

LT = Machine.preset("lt-mzi")

# DeiT-T with 197 tokens on the MZI baseline of Lightening-Transformer (arXiv:2305.19533), its own
# simulator run unmodified: milliseconds of all blocks, and how many there are.
DEIT_T = (
    (Product("embed", 192, 768, 196), 1, 0.2610),
    (Product("qkv", 576, 192, 197), 12, 2.3494),
    (Product("proj", 192, 192, 197), 12, 0.78313),
    (Product("ffn1", 768, 192, 197), 12, 3.1325),
    (Product("ffn2", 192, 768, 197), 12, 3.1325),
    (Product("head", 1000, 192, 1), 1, 0.33603),
)


def spent(product: Product, machine: Machine, batch: int = 1) -> Latency:
    work = next(count(program([product], machine), machine, batch))
    return latency(work, machine)


@pytest.mark.parametrize(
    ("product", "blocks", "published_ms"), DEIT_T, ids=lambda value: str(value)
)
def test_lightening_transformers_latencies_are_reproduced(
    product: Product, blocks: int, published_ms: float
) -> None:
    found = spent(product, LT)

    # As exact as its digits tell; it leaves the flight of the light out.
    assert blocks * (found.total - found.flight_s) * 1e3 == pytest.approx(published_ms, rel=8e-5)
    assert found.memory_s == 0.0
    assert found.digital_s == 0.0


def buda_unet(side: int = 256, base: int = 32) -> list[Product]:
    """Return the products of Buda's U-Net: 22 of them and one of 1 x 1."""
    products = []
    channels = 3
    for level in range(5):
        width, pixels = base << level, (side >> level) ** 2
        products += [
            Product(f"enc{level}a", width, 9 * channels, pixels),
            Product(f"enc{level}b", width, 9 * width, pixels),
        ]
        channels = width
    for level in reversed(range(4)):
        width, pixels = base << level, (side >> level) ** 2
        products += [
            Product(f"up{level}", 4 * width, 2 * width, pixels // 4),
            Product(f"dec{level}a", width, 9 * 2 * width, pixels),
            Product(f"dec{level}b", width, 9 * width, pixels),
        ]
    return [*products, Product("last", 1, base, side**2)]


@pytest.mark.parametrize(
    ("machine", "compute_ms", "programming_ms"),
    [
        (LT, 2.25, 13.78),
        (Machine.preset("mzi64-eo").override({"phase.settling_time_us": 2}), 0.186, 0.968),
        (
            Machine.preset("mzi64-thermal").override({"cores": 1, "clock_ghz": 1}),
            3.73,
            19.06,
        ),
    ],
    ids=["lt-mzi", "64x64x4 at 5 GHz, 2 us", "64x64 at 1 GHz, 10 us"],
)
def test_the_buda_unet_takes_the_time_of_its_hand_calculation(
    machine: Machine, compute_ms: float, programming_ms: float
) -> None:
    works = list(count(program(buda_unet(), machine), machine, 1))
    total = Latency.sum(latency(work, machine) for work in works)

    assert sum(work.macs for work in works) == pytest.approx(12.071e9, rel=1e-4)
    assert total.compute_s * 1e3 == pytest.approx(compute_ms, rel=3e-3)
    assert total.programming_s * 1e3 == pytest.approx(programming_ms, rel=3e-3)


def test_a_batch_shares_the_programming() -> None:
    product = Product("a", 24, 24, 100)
    one, eight = spent(product, LT), spent(product, LT, batch=8)

    assert eight.programming_s == one.programming_s
    assert eight.compute_s == pytest.approx(8 * one.compute_s)


def test_wavelengths_pass_side_by_side() -> None:
    product = Product("a", 24, 24, 96)
    twelve = LT.override({"wavelengths": 12, "optics.laser_power_mw": "none"})

    assert spent(product, twelve).compute_s == pytest.approx(spent(product, LT).compute_s / 12)


def test_memory_shows_only_beyond_computing_and_programming() -> None:
    slow = LT.override({"memory.dram_bandwidth_gb_per_s": 0.001})
    product = Product("a", 12, 12, 10)

    found = spent(product, slow)

    # 12 ports: 2 meshes of 66 interferometers with 2 phases and 12 more each, 12 attenuators.
    bits = (2 * (2 * 66 + 12) + 12) * 12
    # One tile of 10 vectors on 8 cores: 2 cycles of 0.2 ns, after 2 us.
    assert found.compute_s == pytest.approx(0.4e-9)
    assert found.programming_s == pytest.approx(2e-6)
    assert found.memory_s == pytest.approx(bits / 8e6 - 2.0004e-6)


def test_digital_operations_take_lanes_and_clock() -> None:
    relu = HostOperator("relu", "Relu", operations=1_024_000, elements_in=10, elements_out=10)
    machine = Machine.preset("mzi64-eo")
    work = next(count(program([], machine, [relu]), machine, 2))

    found = latency(work, machine)

    assert found.digital_s == pytest.approx(2e-6)  # 2 x 1000 cycles of 1024 lanes at 1 GHz
    assert found.total == found.digital_s


def test_light_takes_2_5_picoseconds_for_each_interferometer() -> None:
    # 180 um at a group index of 4.2 are 2.52 ps; 12 ports have 25 interferometers in a row.
    assert flight_time_s(LT) == pytest.approx(25 * 2.52e-12, rel=2e-3)
