"""A small 68-point predictor, trained in seconds on synthetic subjects: what matters is that the chain can use it."""

from pathlib import Path

import dlib
import numpy as np

from mer_pipeline.datasets import read_dataset
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.video import open_footage

# The points of Face Mesh nearest to the 68 of iBUG 300-W, in the order of these.
MESH_OF_68 = (
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,  # mouth
)  # fmt: skip


def train_predictor(raw: Path, path: Path) -> Path:
    """Train on the onset of the first clip of every subject."""
    detector = dlib.get_frontal_face_detector()
    images, objects = [], []
    with FaceMesh() as mesh:
        for clip in read_dataset(raw).clips[::5]:
            image = open_footage(clip.source).frame(clip.onset_frame)
            points = mesh(image)[0].points_xy[list(MESH_OF_68)]
            (box,) = detector(image, 0)
            parts = [dlib.point(*(round(float(v)) for v in point)) for point in points]
            # Turned copies would say more; a still face needs none.
            images.append(np.ascontiguousarray(image))
            objects.append([dlib.full_object_detection(box, parts)])
    options = dlib.shape_predictor_training_options()
    options.tree_depth, options.cascade_depth, options.num_trees_per_cascade_level = 2, 4, 20
    options.feature_pool_size, options.num_test_splits, options.oversampling_amount = 60, 10, 10
    options.num_threads, options.random_seed, options.be_verbose = 1, "mer", False
    dlib.train_shape_predictor(images, objects, options).save(str(path))
    return path
