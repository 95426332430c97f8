"""What is told of the machine."""

import os
import platform

import pytest

from shared_keras import devices

SKYLAKE = "fpu sse sse4_1 sse4_2 movbe avx f16c fma bmi1 avx2 bmi2 avx512f avx512dq avx512cd"
ZEN3 = "fpu sse sse4_1 sse4_2 movbe avx f16c fma bmi1 avx2 bmi2"
GRAVITON3 = "fp asimd evtstrm aes asimdhp sve asimdfhm bf16"


@pytest.mark.parametrize(
    ("machine", "label", "features", "kind"),
    [
        ("x86_64", "flags\t\t", SKYLAKE, "x86_64 with sse4_2, avx, fma, avx2, avx512f"),
        ("x86_64", "flags\t\t", ZEN3, "x86_64 with sse4_2, avx, fma, avx2"),
        ("aarch64", "Features\t", GRAVITON3, "aarch64 with asimd, sve"),
        ("riscv64", "isa\t\t", "rv64imafdc", None),
    ],
)
def test_the_kind_of_a_cpu_is_its_instruction_set(machine, label, features, kind):
    core = f"processor\t: 0\nmodel name\t: one\n{label}: {features}\nbogomips\t: 1\n"
    assert devices.cpu_kind(machine, core * 2) == kind


def test_processors_of_one_kind_have_other_names():
    text = "model name\t: {}\nflags\t: sse4_2 avx avx2 {}\n"
    kinds = [devices.cpu_kind("x86_64", text.format(n, f)) for n, f in (("a", "pku"), ("b", "sha"))]
    assert kinds[0] == kinds[1]


@pytest.mark.skipif(not devices.CPUINFO.exists(), reason="only Linux tells")
def test_a_limit_for_compiled_code_makes_another_kind(monkeypatch):
    kind = devices.processor_kind()
    assert kind is None or devices.gpus() or kind.startswith(f"{platform.machine()} with ")
    monkeypatch.setenv("XLA_FLAGS", f"--xla_cpu_max_isa=AVX2 {os.environ['XLA_FLAGS']}")
    assert kind is None or devices.gpus() or devices.processor_kind() == f"{kind}, at most AVX2"


def test_where_the_system_hides_its_processor_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "none")
    assert devices.gpus() or devices.processor_kind() is None
