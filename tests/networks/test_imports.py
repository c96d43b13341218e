"""What a network needs is imported with it alone."""

import subprocess
import sys

BUILD = "import sys; from mer_pipeline import networks; networks.build('ststnet', classes=3, size=28); "


def test_a_network_without_a_part_of_timm_does_not_import_it():
    command = BUILD + "print('timm' in sys.modules, 'torchvision' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", command], text=True).split() == ["False", "False"]
