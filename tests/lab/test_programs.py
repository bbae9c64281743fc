import os
from pathlib import Path

import pytest

from meshpki.errors import PreconditionError
from meshpki.lab.programs import entries, find, iptables_names, libraries, loaded, stamp

LISTING = """\
/usr/sbin/xtables-nft-multi:
\tlinux-vdso.so.1 (0x00007ffd5a5c2000)
\tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f0c0a000000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0c09e00000)
\tlibgone.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f0c0a1c5000)
/usr/sbin/conntrack:
\tlinux-vdso.so.1 (0x00007ffe8a9f2000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6d2d800000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f6d2da61000)
/bin/busybox:
\tnot a dynamic executable
"""


def test_each_library_and_the_loader_are_taken_once_and_nothing_else_of_what_ldd_says() -> None:
    assert loaded(LISTING) == (
        Path("/lib/x86_64-linux-gnu/libc.so.6"),
        Path("/lib/x86_64-linux-gnu/libmnl.so.0"),
        Path("/lib64/ld-linux-x86-64.so.2"),
    )


def test_no_programs_load_no_libraries() -> None:
    assert libraries(()) == ()


@pytest.mark.parametrize(
    ("programs", "links"),
    [
        (("nft", "conntrack", "libxt_statistic.so"), {}),
        (
            ("xtables-nft-multi",),
            {"iptables": "nft", "iptables-nft": "nft", "ip6tables-save": "nft", "iptables-nft-restore": "nft"},
        ),
        (("xtables-legacy-multi",), {"iptables-legacy": "legacy", "ip6tables-legacy-restore": "legacy"}),
        (
            ("xtables-nft-multi", "xtables-legacy-multi"),
            {"iptables": "nft", "iptables-restore": "nft", "iptables-legacy-save": "legacy"},
        ),
    ],
)
def test_iptables_has_its_many_names_and_the_plain_ones_are_nfts(
    programs: tuple[str, ...], links: dict[str, str]
) -> None:
    named = {link.path: link.target for link in iptables_names(programs)}
    expected = {f"/usr/sbin/{name}": f"xtables-{flavour}-multi" for name, flavour in links.items()}
    assert expected.items() <= named.items()
    assert len(named) == 12 * ("xtables-nft-multi" in programs) + 6 * ("xtables-legacy-multi" in programs)


def test_programs_are_found_by_path_and_by_pattern_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.so", "a.so", "c.txt"):
        (tmp_path / name).touch()
    wanted = (f"{tmp_path}/c.txt", f"{tmp_path}/*.so")
    assert find(wanted) == (tmp_path / "c.txt", tmp_path / "a.so", tmp_path / "b.so")


def test_a_missing_program_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as refused:
        find([f"{tmp_path}/*.so"])
    assert (refused.value.code, refused.value.where) == ("MPK-514", f"{tmp_path}/*.so")
    assert "--install-packages" in refused.value.remedy


def test_an_upgraded_program_has_another_stamp(tmp_path: Path) -> None:
    program = tmp_path / "nft"
    program.write_text("1")
    os.utime(program, ns=(1, 1))
    before = stamp([program])
    os.utime(program, ns=(2, 2))
    assert stamp([program]) != before


def test_programs_go_into_an_image_at_their_own_paths(tmp_path: Path) -> None:
    script = tmp_path / "xtables-nft-multi"
    script.write_text("no program that ldd reads\n")
    paths = [entry.path for entry in entries((script,))]
    assert paths[0] == str(script)
    assert "/usr/sbin/iptables" in paths
