"""What is wrong with a settings file: its code, its line and the way out."""

import pytest

from meshpki.settings import SettingsError, read_text

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"  # so that what follows begins in line 3
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

SHAPE = [
    ("trustdomain: x.org", "MPK-006", 3, "did you mean trustDomain?"),
    ("istiodCA:\n  renewbefore: 3h", "MPK-006", 4, "did you mean istiodCA.renewBefore?"),
    ("renewBefore: 3h", "MPK-006", 3, "did you mean istiodCA.renewBefore?"),
    ("zzz: 1", "MPK-006", 3, "known here: approval, artifacts, clusterName"),
    ("root: 3", "MPK-007", 3, "write a mapping"),
    ("trustDomain:", "MPK-007", 3, "write one"),
    ("trustDomain: [a]", "MPK-007", 3, "write a single value"),
    ("ignore: platform", "MPK-007", 3, "write a list"),
    ("istio:\n  operator: []", "MPK-007", 4, "write a mapping"),
    ("istio:\n  replicas: many", "MPK-007", 4, "write a whole number"),
    ("istio:\n  replicas: 0", "MPK-028", 4, "1 to 100"),
    ("istio:\n  replicas: 101", "MPK-028", 4, "1 to 100"),
    ("workloads:\n  enabled: 1", "MPK-007", 4, "write true or false"),
]
YAML = [
    ("root: [1", "MPK-002", 4, "fix the syntax"),
    ("\troot: 1", "MPK-002", 3, "indent with spaces"),
    ("trustDomain: a\ntrustDomain: b", "MPK-004", 4, "keep one of the two"),
    ("root:\n  duration: 2400h\n  duration: 100d", "MPK-004", 5, "keep one of the two"),
    ("root: &all\n  duration: 720h", "MPK-003", 3, "write the value out"),
    ("root: *all", "MPK-003", 3, "write the value out"),
    ("root:\n  <<: {duration: 720h}", "MPK-003", 4, "names as keys"),
    ("? [a]\n: b", "MPK-003", 3, "names as keys"),
    ("istio:\n  operator:\n    meshConfig: !mine {}", "MPK-003", 5, "plain data"),
    ("---\nroot: {}", "MPK-003", 3, "one document"),
    ("istio:\n  operator: " + "[" * 40 + "]" * 40, "MPK-003", 4, "plain data"),
    ("no: 1", "MPK-008", 3, "put the key in quotes"),
    ("clusterName: no", "MPK-008", 3, "put it in quotes"),
    ("clusterName: 010", "MPK-008", 3, "put it in quotes"),
    ("versions:\n  istio: 1.29", "MPK-008", 4, "put it in quotes"),
    ("workloads:\n  enabled: yes", "MPK-008", 4, "write true or false"),
    ("istio:\n  operator:\n    meshConfig:\n      a: 1e3", "MPK-008", 6, "plain decimal number"),
]
TEXTS = [
    ("preset: tiny", "MPK-011", 3, "default, production"),
    ("trustDomain: Example.org", "MPK-012", 3, "lower case"),
    ("trustDomain: spiffe://example.org", "MPK-012", 3, "lower case"),
    ("trustDomain: example.org/ns", "MPK-012", 3, "lower case"),
    ('trustDomain: ""', "MPK-012", 3, "lower case"),
    ("trustDomain: " + "a" * 256, "MPK-012", 3, "at most 255"),
    ("namespaces:\n  istio: Istio_System", "MPK-013", 4, "RFC 1123"),
    ("namespaces:\n  istio: kube-system", "MPK-013", 4, "not kube-"),
    ("namespaces:\n  istio: " + "a" * 64, "MPK-013", 4, "at most 63"),
    ("resources:\n  memory: 64m", "MPK-015", 4, "64Mi"),
    ("resources:\n  cpu: 0", "MPK-015", 4, "10m"),
    ("spire:\n  storage:\n    size: big", "MPK-015", 5, "1Gi"),
    ("artifacts:\n  pins:\n    cert-manager.yaml: abc", "MPK-016", 5, "64 hex digits"),
    (f"root:\n  fingerprint: {SHA1}", "MPK-016", 4, "64 hex digits"),
    ("spire:\n  logLevel: verbose", "MPK-026", 4, "DEBUG, INFO, WARN, ERROR"),
    ("root:\n  commonName: " + "a" * 57, "MPK-026", 4, "at most 56"),
    ("ignore: [Platform]", "MPK-116", 3, "choose of kubernetes-version"),
    ("ignore:\n- storage\n- cacerts", "MPK-116", 5, "only --ignore on the command line"),
    ("proxy:\n  https: proxy:3128", "MPK-027", 4, "http://host:port"),
]
VERSIONS = [
    ("versions:\n  istio: 1.28.0", "MPK-017", 4, "choose 1.29.1"),
    ("versions:\n  spire: 1.14.9", "MPK-017", 4, "choose 1.15.3"),
    ("versions:\n  spireControllerManager: 0.5.9", "MPK-017", 4, "choose 0.6.4"),
    ("versions:\n  spiffeCSI: 0.3.0", "MPK-017", 4, "choose 0.2.6"),
    ("versions:\n  csiNodeDriverRegistrar: v2.15.0", "MPK-017", 4, "choose v2.16.0"),
    ("versions:\n  csiNodeDriverRegistrar: 2.16.0", "MPK-017", 4, "v1.2.3"),
    ("versions:\n  certManager: v1.21.0", "MPK-017", 4, "choose v1.21.2"),
    ("versions:\n  certManager: 1.21.2", "MPK-017", 4, "v1.2.3"),
    ('versions:\n  istio: "1.29"', "MPK-017", 4, "all three numbers"),
    ("versions:\n  istio: latest", "MPK-017", 4, "all three numbers"),
    ("versions:\n  istio: 1.29.1-distroless", "MPK-017", 4, "istio: {operator: {tag: ...}}"),
]
DURATIONS = [
    ("istiodCA:\n  duration: 720", "MPK-009", 4, "write 720h for hours"),
    ('istiodCA:\n  duration: "720"', "MPK-009", 4, "write 720h for hours"),
    ("istiodCA:\n  duration: 3w", "MPK-010", 4, "720h, 90d or 1h30m"),
    ("istiodCA:\n  duration: soon", "MPK-010", 4, "720h, 90d or 1h30m"),
    ("istiodCA:\n  duration: 400000d", "MPK-010", 4, "720h, 90d or 1h30m"),
    ("istiodCA:\n  duration: 720h\n  renewBefore: 720h", "MPK-018", 5, "renew later"),
    ("istiodCA:\n  renewBefore: 61d", "MPK-018", 4, "renew later"),
    ("istiodCA:\n  duration: 300h", "MPK-018", 4, "renew later"),
    ("istiodCA:\n  duration: 21600h", "MPK-019", 4, "cannot outlive its root"),
    ("root:\n  duration: 1440h", "MPK-019", 4, "cannot outlive its root"),
    ("spire:\n  svidTTL: 4h1s", "MPK-020", 4, "cuts SVIDs short"),
    ("spire:\n  caTTL: 5h", "MPK-020", 4, "cuts SVIDs short"),
    ("root:\n  duration: 30h\nistiodCA:\n  duration: 24h\n  renewBefore: 8h", "MPK-021", 4, "outlive two SPIRE CAs"),
    ("istiodCA:\n  duration: 59m\n  renewBefore: 10m", "MPK-022", 4, "write 1h or more"),
    ("istiodCA:\n  renewBefore: 4m", "MPK-022", 4, "write 5m or more"),
    ("spire:\n  svidTTL: 59s", "MPK-022", 4, "write 1m or more"),
    ("spire:\n  caTTL: 30m\n  svidTTL: 5m", "MPK-022", 4, "write 1h or more"),
]
NAMESPACES = [
    ("namespaces:\n  istio: spire-server", "MPK-014", 4, "a namespace of its own"),
    ("namespaces:\n  bookinfo: mesh\n  spireSystem: mesh", "MPK-014", 4, "a namespace of its own"),
]
OPERATOR = "istio:\n  operator:\n"
GATEWAYS = f"{OPERATOR}    components:\n      ingressGateways:"
SHAPES_OF_ISTIO = [
    (f"{OPERATOR}    profile: ambient", "MPK-023", 5, "sidecars"),
    (f"{OPERATOR}    values:\n      profile: ambient", "MPK-023", 6, "sidecars"),
    (f"{OPERATOR}    components:\n      ztunnel:\n        enabled: true", "MPK-023", 7, "sidecars"),
    (f"{OPERATOR}    components:\n      cni:\n        enabled: true", "MPK-023", 7, "sidecars"),
    (
        f'{OPERATOR}    values:\n      pilot:\n        env:\n          PILOT_ENABLE_AMBIENT: "true"',
        "MPK-023",
        8,
        "side",
    ),
    (f"{OPERATOR}    revision: canary", "MPK-024", 5, "one revision"),
    (f"{OPERATOR}    values:\n      revision: canary", "MPK-024", 6, "one revision"),
    (f"{OPERATOR}    values:\n      revisionTags: [stable]", "MPK-024", 6, "one revision"),
    (f"{OPERATOR}    meshConfig:\n      trustDomain: other.org", "MPK-025", 6, "as a setting of meshpki"),
    (f"{OPERATOR}    values:\n      global:\n        trustDomain: other.org", "MPK-025", 7, "as a setting of meshpki"),
    (f"{OPERATOR}    namespace: elsewhere", "MPK-025", 5, "as a setting of meshpki"),
    (f"{OPERATOR}    profile: empty", "MPK-025", 5, "istiod and its gateway"),
    (f"{OPERATOR}    components:\n      pilot:\n        enabled: false", "MPK-025", 7, "istiod and its gateway"),
    (f"{GATEWAYS} []", "MPK-025", 6, "a name"),
    (f"{GATEWAYS}", "MPK-025", 6, "a name"),
    (f"{GATEWAYS}\n      - enabled: false", "MPK-025", 7, "a name"),
    (f"{GATEWAYS}\n      - name: istio-ingressgateway\n        enabled: false", "MPK-025", 8, "gateway"),
    (f"{GATEWAYS}\n      - name: istio-ingressgateway\n        namespace: edge", "MPK-025", 8, "gateway"),
    (f"{OPERATOR}    compnents: {{}}", "MPK-006", 5, "components"),
]


def refused(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        read_text(text, "mesh.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("body", "code", "line", "remedy"),
    [*SHAPE, *YAML, *TEXTS, *VERSIONS, *DURATIONS, *NAMESPACES, *SHAPES_OF_ISTIO],
    ids=lambda value: value.replace("\n", " ")[:50] if isinstance(value, str) else None,
)
def test_a_wrong_setting_is_refused_with_its_line_and_the_way_out(body: str, code: str, line: int, remedy: str) -> None:
    error = refused(f"{HEADER}{body}\n")
    assert [(problem.code, problem.where) for problem in error.problems] == [(code, f"mesh.yaml:{line}")]
    assert remedy in error.problems[0].remedy
    assert (error.code, error.where, error.exit_code) == (code, f"mesh.yaml:{line}", 2)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [("MPK-005", "mesh.yaml:1"), ("MPK-005", "mesh.yaml:1")]),
        ("kind: Mesh\n", [("MPK-005", "mesh.yaml:1")]),
        ("apiVersion: meshpki.dev/v2\nkind: Mesh\n", [("MPK-005", "mesh.yaml:1")]),
        ("apiVersion: v1\nkind: ConfigMap\n", [("MPK-005", "mesh.yaml:1"), ("MPK-005", "mesh.yaml:2")]),
        ("- a\n- b\n", [("MPK-007", "mesh.yaml:1")]),
        ("mesh", [("MPK-007", "mesh.yaml:1")]),
        ("#" * (1 << 20) + "\n", [("MPK-001", "mesh.yaml")]),
        ("[" * 200_000, [("MPK-003", "mesh.yaml:1")]),
        ("a: \x00", [("MPK-002", "mesh.yaml")]),
    ],
    ids=["empty", "no apiVersion", "apiVersion", "kind", "a list", "a word", "large", "deep", "a null byte"],
)
def test_what_is_no_settings_file_is_refused(text: str, places: list[tuple[str, str]]) -> None:
    assert [(problem.code, problem.where) for problem in refused(text).problems] == places


def test_all_problems_of_a_file_are_told_at_once_each_on_a_line() -> None:
    error = refused(
        "kind: Mesh\ntrustdomain: a\nistiodCA:\n  duration: 720\n  renewBefore: 3w\nspire:\n  svidTTL: 5h\n"
        "namespaces:\n  istio: kube-x\n"
    )
    told = [(problem.code, problem.where.removeprefix("mesh.yaml:")) for problem in error.problems]
    assert told == [
        ("MPK-005", "1"),
        ("MPK-006", "2"),
        ("MPK-009", "4"),
        ("MPK-010", "5"),
        ("MPK-013", "9"),
        ("MPK-020", "7"),
    ]
    assert error.what.splitlines()[0] == "the settings have 6 problems:"
    assert error.what.splitlines()[1:] == [f"  {problem}" for problem in error.problems]


def test_a_rule_between_values_is_not_judged_where_one_of_them_is_unknown() -> None:
    error = refused(f"{HEADER}istiodCA:\n  duration: 720\n  renewBefore: 9999h\n")
    assert [problem.code for problem in error.problems] == ["MPK-009"]


def test_a_misspelt_key_does_not_bring_a_breach_of_the_default_it_leaves() -> None:
    error = refused(f"{HEADER}istiodCA:\n  duraton: 9000h\n  renewBefore: 2000h\n")
    assert [problem.code for problem in error.problems] == ["MPK-006"]


def test_no_more_than_a_hundred_problems_are_told() -> None:
    assert len(refused(HEADER + "".join(f"key{number}: 1\n" for number in range(500))).problems) == 100


@pytest.mark.parametrize(
    "body",
    [
        'istiodCA:\n  duration: "7\\n20"',
        'workloads:\n  enabled: "a\\nb"',
        'istio:\n  operator:\n    revision: "a\\eb"',
        'istio:\n  operator:\n    "a\\nb": 1',
        'namespaces:\n  "a\\nb": c',
        'trustDomain: "a\\nMPK-000 x"',
        'istio:\n  hub: "docker.io/\\u202e"',
    ],
)
def test_what_a_file_holds_cannot_forge_a_line_or_steer_a_terminal(body: str) -> None:
    (problem,) = refused(f"{HEADER}{body}\n").problems
    assert str(problem).isprintable()


def test_a_password_in_a_proxys_address_is_refused_and_not_shown() -> None:
    error = refused(f"{HEADER}proxy:\n  https: http://me:canary@proxy:3128\n")
    assert error.code == "MPK-027"
    assert "canary" not in f"{error} {error.problems[0]}"
