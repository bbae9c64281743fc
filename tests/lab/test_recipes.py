from meshpki.components.images import images
from meshpki.components.spire import spire
from meshpki.lab import versions
from meshpki.lab.approver_policy import IMAGE, RECIPE
from meshpki.lab.images import IMAGES
from meshpki.lab.recipes import RECIPES
from meshpki.lab.spec import NODE_PROGRAMS
from meshpki.settings import defaults

FETCHED = {"envoy", "envoy_bootstrap.json"}


def built() -> set[str]:
    """The names of all binaries, as `go build` writes them."""
    named = {recipe.output for recipe in RECIPES if recipe.output}
    return named | {
        package.rsplit("/", 1)[-1] for recipe in RECIPES if not recipe.output for package in recipe.packages
    }


def test_every_part_of_an_image_is_built_or_fetched() -> None:
    wanted = {part.name for image in IMAGES for part in image.built}
    assert wanted <= built() | FETCHED


def test_approver_policy_is_built_on_demand_and_is_no_part_of_every_lab() -> None:
    assert RECIPE not in RECIPES
    assert IMAGE not in IMAGES
    assert {part.name for part in IMAGE.built} == {RECIPE.output}
    assert IMAGE.name == f"quay.io/jetstack/cert-manager-approver-policy:{defaults().versions.approver_policy}"


def test_every_program_that_the_nodes_and_the_artefacts_need_is_built() -> None:
    assert {*NODE_PROGRAMS, "helm"} <= built()


def test_images_have_names_of_their_own_with_a_registry_and_a_tag() -> None:
    names = [image.name for image in IMAGES]
    assert len(set(names)) == len(names)
    assert all("." in name.split("/", 1)[0] and ":" in name.rsplit("/", 1)[-1] for name in names)


def test_the_lab_has_the_images_of_spire_and_its_driver_in_the_versions_of_the_settings() -> None:
    assert {*images(spire(defaults(), ()).objects)} <= {image.name for image in IMAGES}


def test_kubernetes_says_its_version_to_whoever_asks() -> None:
    (kubernetes,) = (recipe for recipe in RECIPES if recipe.name == "kubernetes")
    variables = dict(kubernetes.variables)
    major, minor, _ = versions.KUBERNETES.removeprefix("v").split(".")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert variables[f"{package}.gitVersion"] == versions.KUBERNETES
        assert (variables[f"{package}.gitMajor"], variables[f"{package}.gitMinor"]) == (major, minor)
