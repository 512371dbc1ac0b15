"""Makes the pickles of this folder, and checks those that Reinsman wrote.

    python make.py make TAG      # TAG names the numpy version, np1 or np2
    python make.py check FILE    # loads a submission and prints its poses as JSON lines

The classes are stand-ins with the module names, fields and bases of the originals, so the bytes are what the NAVSIM scripts
write. All values are invented.
"""

import dataclasses
import json
import pathlib
import pickle
import sys
import types

import numpy as np


def stand_in(module, name, fields):
    """A dataclass that pickles as `module.name`."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    made = dataclasses.make_dataclass(name, fields)
    made.__module__ = module
    setattr(sys.modules[module], name, made)
    return made


TrajectorySampling = stand_in(
    "nuplan.planning.simulation.trajectory.trajectory_sampling",
    "TrajectorySampling",
    ["num_poses", "time_horizon", "interval_length"],
)
Trajectory = stand_in("navsim.common.dataclasses", "Trajectory", ["poses", "trajectory_sampling"])
Evil = stand_in("evil.module", "Evil", ["x"])


def trajectory(seed, dtype=np.float32, order="C", n=8, step=0.5):
    k = np.arange(1, n + 1, dtype=np.float64)
    poses = np.stack([seed + 2.5 * k, -0.25 * k + seed, 0.125 * k], axis=1).astype(dtype)
    return Trajectory(np.array(poses, order=order), TrajectorySampling(n, n * step, step))


def head():
    return {"team_name": "team", "authors": "A, B", "email": "a@b.c", "institution": "x", "country / region": "y"}


def submission():
    tokens = {"0123456789abcdef": trajectory(0.0), "fedcba9876543210": trajectory(1.0)}
    return head() | {"predictions": [tokens]}


def two_stage():
    first = {"0123456789abcdef": trajectory(0.0, np.float64), "00000000000000aa": trajectory(2.0, np.float32, "F")}
    second = {"0123456789abcdef1": trajectory(3.0, np.float32, "C", 40, 0.1)}
    return head() | {"first_stage_predictions": [first], "second_stage_predictions": [second]}


def frame(i, start=1_600_000_000_000_000):
    """One frame of a log: the ego drives 4 m/s along x, turned left by 0.5 rad; a car ahead, a cone beside."""
    yaw = 0.5
    x, y = 100.0 + 2.0 * i * np.cos(yaw), 50.0 + 2.0 * i * np.sin(yaw)
    can_bus = np.zeros(18)
    can_bus[:7] = [x, y, 0.0, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
    boxes = np.array([[10.0 + i, 0.0, 0.0, 4.5, 2.0, 1.6, 0.0], [5.0 - 2.0 * i, 3.0, 0.0, 0.5, 0.5, 1.0, 0.0]])
    names, tracks = np.array(["vehicle", "traffic_cone"]), ["aa00", "bb00"]
    if i == 5:  # nothing is seen in this frame
        boxes, names, tracks = np.zeros((0, 7)), np.array([]), []
    return {
        "token": f"{i:016x}",
        "frame_idx": i,
        "timestamp": start + 500_000 * i,
        "log_name": "invented",
        "log_token": "10g",
        "scene_name": "log-0001-scene-0001",
        "scene_token": "5ce1e",
        "map_location": "nowhere",
        "roadblock_ids": ["1"],
        "vehicle_name": "v",
        "can_bus": can_bus,
        "lidar_path": "a/b.pcd",
        "lidar2ego_translation": np.zeros(3),
        "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
        "ego2global_translation": can_bus[:3],
        "ego2global_rotation": can_bus[3:7],
        "ego_dynamic_state": [4.0, 0.1, 0.2, 0.0],
        "traffic_lights": [(7, i >= 2), (8, np.bool_(False))],
        "driving_command": np.array([0, 1, 0, 0]),
        "cams": {"CAM_F0": {"data_path": "a/b.jpg", "cam_intrinsic": np.eye(3), "distortion": np.zeros(5)}},
        "sample_prev": None,
        "sample_next": "x",
        "ego2global": np.eye(4),
        "lidar2ego": np.eye(4),
        "lidar2global": np.eye(4),
        "anns": {
            "gt_boxes": boxes,
            "gt_names": names,
            "gt_velocity_3d": np.array([[6.0, 0.0, 0.0], [0.0, 0.0, 0.0]])[: len(boxes)],
            "instance_tokens": list(tracks),
            "track_tokens": tracks,
        },
    }


def make(tag):
    here = pathlib.Path(__file__).parent
    for protocol in range(6):
        (here / f"submission_p{protocol}_{tag}.pkl").write_bytes(pickle.dumps(submission(), protocol))
    (here / f"two_stage_{tag}.pkl").write_bytes(pickle.dumps(two_stage()))
    log = [frame(i) for i in range(15)]
    (here / f"log_{tag}.pkl").write_bytes(pickle.dumps(log, pickle.HIGHEST_PROTOCOL))
    scalars = [np.float32(0.5), np.float64(-2.0), np.int64(-7), np.uint8(200), np.bool_(True), np.str_("x\u00e9"),
               np.array(["a", "bcd"]), np.array(["x", None], dtype=object), np.arange(6, dtype=">i2").reshape(2, 3),
               np.array([], dtype="U4"), b"", b"\x00\xff", 2**40, -1, 1.5, "\u2713\n\\", frozenset({1}), (), None]
    for protocol in (0, 2, 5):
        (here / f"scalars_p{protocol}_{tag}.pkl").write_bytes(pickle.dumps(scalars, protocol))
    if tag == "np2":
        (here / "evil.pkl").write_bytes(pickle.dumps(head() | {"predictions": [{"t": Evil(1)}]}))


def check(path):
    loaded = pickle.loads(pathlib.Path(path).read_bytes())
    for key in ("predictions", "first_stage_predictions", "second_stage_predictions"):
        for token, t in loaded.get(key, [{}])[0].items():
            assert t.poses.shape == (t.trajectory_sampling.num_poses, 3), t
            sampling = dataclasses.astuple(t.trajectory_sampling)
            print(json.dumps([key, token, str(t.poses.dtype), sampling, t.poses.tolist()]))


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2])
