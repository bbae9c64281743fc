"""Files laid over each other, standard input, what the cluster kept, and the defaults below them all."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from meshpki.settings import Settings, SettingsError, defaults, read, read_text, to_yaml

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"


def written(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def refused(*paths: Path) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(paths)
    return [(problem.code, problem.where) for problem in caught.value.problems]


def test_without_files_the_settings_are_the_defaults() -> None:
    assert read([]) == defaults() == Settings()


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = defaults()
    assert settings.root.duration == timedelta(hours=21600)
    assert (settings.istiod_ca.duration, settings.istiod_ca.renew_before) == (timedelta(days=60), timedelta(days=15))
    assert (settings.spire.ca_ttl, settings.spire.svid_ttl) == (timedelta(days=1), timedelta(hours=1))
    assert settings.trust_domain == "example.org"
    assert settings.versions.cert_manager == "v1.21.2"
    assert settings.istio.replicas == 1


def test_a_header_alone_is_the_defaults_and_an_empty_section_too() -> None:
    assert read_text(HEADER, "mesh.yaml") == defaults()
    assert read_text(f"{HEADER}root:\nistio:\n  operator:\nignore:\n", "mesh.yaml") == defaults()


def test_the_preset_production_has_a_second_istiod_unless_told_otherwise() -> None:
    assert read_text(f"{HEADER}preset: production\n", "mesh.yaml").istio.replicas == 2
    assert read_text(f"{HEADER}preset: production\nistio:\n  replicas: 3\n", "mesh.yaml").istio.replicas == 3


def test_a_fingerprint_is_the_same_with_colons_and_in_upper_case() -> None:
    colons = ":".join(["AB"] * 32)
    assert read_text(f"{HEADER}root:\n  fingerprint: '{colons}'\n", "mesh.yaml").root.fingerprint == "ab" * 32


def test_a_later_file_wins_key_by_key(tmp_path: Path) -> None:
    base = written(tmp_path, "base.yaml", "trustDomain: a.org\nspire:\n  caTTL: 12h\n  logLevel: WARN\n")
    more = written(tmp_path, "more.yaml", "trustDomain: b.org\nspire:\n  caTTL: 48h\n")
    settings = read([base, more])
    assert (settings.trust_domain, settings.spire.ca_ttl, settings.spire.log_level) == (
        "b.org",
        timedelta(days=2),
        "WARN",
    )
    assert read([more, base]).trust_domain == "a.org"


def test_operator_overlays_are_merged_deep_and_lists_are_replaced(tmp_path: Path) -> None:
    one = "istio:\n  operator:\n    values:\n      pilot: {autoscaleEnabled: false, env: {A: x, B: x}, hosts: [a, b]}\n"
    two = (
        "istio:\n  operator:\n    values:\n      pilot: {env: {B: y}, hosts: [c]}\n    meshConfig: {rootNamespace: z}\n"
    )
    settings = read([written(tmp_path, "one.yaml", one), written(tmp_path, "two.yaml", two)])
    assert settings.istio.operator == {
        "values": {"pilot": {"autoscaleEnabled": False, "env": {"A": "x", "B": "y"}, "hosts": ["c"]}},
        "meshConfig": {"rootNamespace": "z"},
    }


def test_pins_of_several_files_are_kept_together(tmp_path: Path) -> None:
    one = written(tmp_path, "one.yaml", f"artifacts:\n  pins:\n    a.yaml: {'a' * 64}\n")
    two = written(tmp_path, "two.yaml", f"artifacts:\n  pins:\n    b.yaml: {'b' * 64}\n")
    assert read([one, two]).artifacts.pins == {"a.yaml": "a" * 64, "b.yaml": "b" * 64}


def test_a_breach_between_two_files_is_placed_in_the_file_that_holds_the_value(tmp_path: Path) -> None:
    base = written(tmp_path, "base.yaml", "istiodCA:\n  renewBefore: 20d\n")
    more = written(tmp_path, "more.yaml", "istiodCA:\n  duration: 10d\n")
    assert refused(base, more) == [("MPK-018", f"{base}:4")]


def test_the_problems_of_all_files_are_told_in_their_order(tmp_path: Path) -> None:
    base = written(tmp_path, "base.yaml", "preset: tiny\n")
    more = written(tmp_path, "more.yaml", "trustDomain: A\n")
    assert refused(base, more) == [("MPK-011", f"{base}:3"), ("MPK-012", f"{more}:3")]


def test_a_mistake_below_a_right_value_is_still_told(tmp_path: Path) -> None:
    base = written(tmp_path, "base.yaml", "trustDomain: A\n")
    more = written(tmp_path, "more.yaml", "trustDomain: a\n")
    assert refused(base, more) == [("MPK-012", f"{base}:3")]


def test_files_lie_over_what_was_kept(tmp_path: Path) -> None:
    kept = f"{HEADER}trustDomain: kept.org\nclusterName: kept\n"
    assert read([], kept, "ConfigMap kube-system/meshpki").trust_domain == "kept.org"
    settings = read([written(tmp_path, "mesh.yaml", "trustDomain: file.org\n")], kept)
    assert (settings.trust_domain, settings.cluster_name) == ("file.org", "kept")


def test_a_mistake_in_what_was_kept_names_where_it_was_kept() -> None:
    with pytest.raises(SettingsError) as caught:
        read([], f"{HEADER}trustDomain: A\n", "ConfigMap kube-system/meshpki")
    assert caught.value.where == "ConfigMap kube-system/meshpki:3"


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(HEADER.encode() + b"clusterName: caf\xe9\n")
    missing = tmp_path / "missing.yaml"
    assert refused(missing, tmp_path, latin) == [
        ("MPK-001", str(missing)),
        ("MPK-001", str(tmp_path)),
        ("MPK-001", str(latin)),
    ]


@pytest.mark.parametrize("filler", ["#", "é"])
def test_a_file_of_more_than_a_mebibyte_is_refused_for_its_size(tmp_path: Path, filler: str) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("# " + filler * (1 << 20), encoding="utf-8")
    assert refused(path) == [("MPK-001", str(path))]


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    assert refused(Path("/dev/zero")) == [("MPK-001", "/dev/zero")]


def test_a_dash_is_standard_input() -> None:
    program = "from pathlib import Path; from meshpki.settings import read; print(read([Path('-')]).trust_domain)"
    given = f"{HEADER}trustDomain: piped.org\n"
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True, check=True)
    assert done.stdout == "piped.org\n"


def test_what_is_written_out_names_every_key_and_nothing_can_be_mistaken() -> None:
    text = to_yaml(defaults())
    assert text.startswith(HEADER)
    assert '  renewBefore: "360h"\n' in text
    assert '  istio: "1.29.1"\n' in text
    assert "enabled: true\n" in text


def test_an_overlay_may_change_the_meshs_gateway_and_bring_others_anywhere() -> None:
    entries = (
        "- {name: istio-ingressgateway, enabled: true, k8s: {service: {type: NodePort}}}",
        "- {name: edge, namespace: edge, enabled: false}",
    )
    listed = "".join(f"      {one}\n" for one in entries)
    text = f"{HEADER}istio:\n  operator:\n    components:\n      ingressGateways:\n{listed}"
    assert read_text(text, "mesh.yaml").istio.operator["components"]
