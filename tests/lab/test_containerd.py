import json
import tomllib

from meshpki.lab.containerd import CONFIG, SOCKET, files
from meshpki.lab.images import IMAGES
from meshpki.lab.topology import plan

NODE = plan("lab", 2).nodes[1]
FILES = files(NODE)


def test_the_runtime_starts_pods_from_an_image_that_the_lab_has_and_needs_no_right_to_adjust_scores() -> None:
    config = tomllib.loads(FILES[CONFIG.lstrip("/")])
    runtime = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert config["grpc"]["address"] == SOCKET
    assert runtime["sandbox_image"] in {image.name for image in IMAGES}
    assert runtime["restrict_oom_score_adj"] is True


def test_pods_get_addresses_of_their_nodes_own_range_forgotten_at_its_restart() -> None:
    (path,) = (name for name in FILES if name.endswith(".conflist"))
    network = json.loads(FILES[path])
    addresses = network["plugins"][0]["ipam"]
    assert addresses["ranges"] == [[{"subnet": NODE.pods}]]
    assert addresses["dataDir"].startswith("/run/")
    assert [plugin["type"] for plugin in network["plugins"]] == ["ptp", "portmap"]
