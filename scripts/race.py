"""Work items of `reinsman bench model`, done by the Python stack, and the table of ratios (ours over Python's).

Both sides work on one folder of random weights that `reinsman init --shape` makes. Each run of an item is a process
of its own with one warm-up; rounds alternate (Python, Reinsman, Python, ...) and the best of them counts. Processor
seconds are user and system time of the work alone, all threads; peak memory is that of the process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/release/reinsman"
EMBEDDED = ROOT / "data/models/embedded"
FRAME = next(iter(sorted((ROOT / "data/samples/real_drive/frames").glob("*.jpg"))), None)

SIDE = 32  # patches along each side of the picture: 256 image tokens
TEXT = 128  # text tokens beside it
ROLLOUT_PROMPT = 427
GROUP, ROLLOUT_TOKENS = 8, 64
LABELLED = 70
LORA_TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
SMALL_ITEMS = [
    "startup", "preprocess", "vision_tower_1024_patches", "prefill_256img_128text", "decode_b1", "decode_b8",
    "generate_api_64_tokens_b1", "rollouts_8x64", "sft_lora_step_2x384", "sft_full_step_2x384",
    "grpo_step_8x64",
]
LARGE_ITEMS = ["vision_tower_1024_patches", "prefill_256img_128text", "decode_b1", "decode_b8", "sft_lora_step_2x384"]
TARGETS = {"startup": 0.02, "preprocess": 1.0, "decode_b8": 0.25, "rollouts_8x64": 0.15, "sft_lora_step_2x384": 0.7,
           "grpo_step_8x64": 0.2}


def steps(rows, large):
    """Decoding steps of one run."""
    return 64 if not large else (16 if rows == 1 else 8)


def amount(name, large):
    """What the rate of an item counts."""
    return {
        "vision_tower_1024_patches": SIDE * SIDE,
        "prefill_256img_128text": (SIDE // 2) ** 2 + TEXT,
        "decode_b1": steps(1, large),
        "decode_b8": 8 * steps(8, large),
        "generate_api_64_tokens_b1": 64,
        "rollouts_8x64": GROUP * ROLLOUT_TOKENS,
        "sft_lora_step_2x384": 2 * ((SIDE // 2) ** 2 + TEXT),
        "sft_full_step_2x384": 2 * ((SIDE // 2) ** 2 + TEXT),
    }[name]


# ---------------------------------------------------------------- the Python side, one item in a process of its own


class Clock:
    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self):
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}


def timed(work, warm=1, runs=1):
    for _ in range(warm):
        work()
    laps = []
    for _ in range(runs):
        clock = Clock()
        work()
        laps.append(clock.stop())
    return {key: min(lap[key] for lap in laps) for key in ("wall", "cpu")}


def scene(width, height):
    import numpy
    from PIL import Image

    rows, columns = numpy.mgrid[0:height, 0:width]
    channels = [columns * 255 // width, rows * 255 // height, (columns // 16 + rows // 16) % 2 * 200]
    return Image.fromarray(numpy.stack(channels, -1).astype("uint8"))


def preprocess():
    import io

    from PIL import Image
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

    large, small, out = scene(1600, 900), scene(448, 448), {}
    for name, picture, limit in [
        ("preprocess", large, 200_704),
        ("preprocess_1600x900_full", large, 12_845_056),
        ("preprocess_448x448", small, 12_845_056),
    ]:
        processor = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=limit)
        out[name] = timed(lambda: processor(images=[picture], return_tensors="pt"), 3, 20)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    out["jpeg_decode_1600x900"] = timed(lambda: Image.open(io.BytesIO(data)).convert("RGB"), 3, 20)
    return out


def load(folder, dtype):
    import torch
    from transformers import AutoModelForImageTextToText

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


def inputs(model, rows, labels=False):
    import torch

    config, random = model.config, torch.Generator().manual_seed(1)
    vision, below = config.vision_config, min(config.text_config.vocab_size, 1000)
    tokens = (SIDE // vision.spatial_merge_size) ** 2

    def text(count):
        return torch.randint(0, below, (rows, count), generator=random)

    def same(token, count):
        return torch.full((rows, count), token)

    start, end = same(config.vision_start_token_id, 1), same(config.vision_end_token_id, 1)
    ids = torch.cat([text(16), start, same(config.image_token_id, tokens), end, text(TEXT - 18)], 1)
    channels = getattr(vision, "in_channels", None) or getattr(vision, "in_chans", 3)
    width = channels * vision.temporal_patch_size * vision.patch_size**2
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == config.image_token_id).int(),
        "pixel_values": torch.randn(rows * SIDE * SIDE, width, generator=random).to(model.dtype),
        "image_grid_thw": torch.tensor([[1, SIDE, SIDE]] * rows),
    }
    if labels:
        batch["labels"] = ids.clone()
        batch["labels"][:, : ids.shape[1] - LABELLED] = -100
    return batch


def decode(model, rows, count):
    """Greedy steps behind the prefill; only they are timed."""
    import torch

    batch = inputs(model, rows)
    width = batch["input_ids"].shape[1]

    def once():
        out = model(**batch, logits_to_keep=1, use_cache=True)
        cache, token, delta = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True), model.model.rope_deltas
        clock = Clock()
        for step in range(count):
            at = (torch.full((1, rows, 1), width + step) + delta.view(1, -1, 1)).expand(3, -1, -1)
            out = model(input_ids=token, position_ids=at, past_key_values=cache, use_cache=True)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
        return clock.stop()

    with torch.no_grad():
        once()
        return once()


def train(model, lora, warm):
    import torch

    if lora:
        from peft import LoraConfig, get_peft_model

        adapter = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
        model_ = get_peft_model(model, adapter)
    else:
        model_ = model
    model_.train()
    trained = [p for p in model_.parameters() if p.requires_grad]
    optimizer, batch = torch.optim.AdamW(trained, lr=1e-4), inputs(model, 2, labels=True)

    def step():
        model_(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return timed(step, warm)


def trainer(model, folder, **options):
    """TRL's GRPO trainer for two steps: eight answers of 64 new tokens to one prompt of 427 with its picture."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    processor, picture = AutoProcessor.from_pretrained(folder), scene(448, 448)
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template

    def question(text):
        return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]

    def length(text):
        rendered = processor.apply_chat_template(question(text), tokenize=False, add_generation_prompt=True)
        return processor(text=[rendered], images=[picture], return_tensors="pt")["input_ids"].shape[1]

    text = "1" * (ROLLOUT_PROMPT - length("1") + 1)  # every digit is a token of its own
    assert length(text) == ROLLOUT_PROMPT, length(text)
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=GROUP, num_generations=GROUP, max_steps=2,
        max_completion_length=ROLLOUT_TOKENS, generation_kwargs={"min_new_tokens": ROLLOUT_TOKENS}, temperature=1.0,
        use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False, save_strategy="no", disable_tqdm=True,
        remove_unused_columns=False, **options,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": question(text), "image": picture}] * GROUP)
    return GRPOTrainer(
        model=model, args=config, train_dataset=data, processing_class=processor,
        reward_funcs=lambda completions, **_: [float(i % 3) for i in range(len(completions))],
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules=LORA_TARGETS, task_type="CAUSAL_LM"),
    )  # fmt: skip


def measure(trainer, method, laps):
    """Appends what each call of a method takes."""
    original = getattr(trainer, method)

    def measured(*args, **kwargs):
        clock = Clock()
        out = original(*args, **kwargs)
        laps.append(clock.stop())
        return out

    setattr(trainer, method, measured)


def rollouts(model, folder):
    """The rollout phase alone."""
    laps, training = [], trainer(model, folder, beta=0.0)

    def no_loss(model, _):  # only rollouts are measured, so nothing is learned
        return sum(p.sum() * 0.0 for p in model.parameters() if p.requires_grad)

    measure(training, "_generate", laps)
    training._compute_loss = no_loss
    training.train()
    return laps[-1]


def grpo(model, folder):
    """The second step as a whole and its parts: rollout; reference, rewards and advantages; forward and backward. The
    optimizer's own step is not in it."""
    training = trainer(model, folder, beta=0.04, loss_type="grpo", learning_rate=1e-5)
    rollout, scored, whole = [], [], []
    measure(training, "_generate", rollout)
    measure(training, "_generate_and_score_completions", scored)
    measure(training, "training_step", whole)
    training.train()

    def less(a, b):
        return {key: a[key] - b[key] for key in a}

    name, (rollout, scored, whole) = "grpo_step_8x64", (rollout[-1], scored[-1], whole[-1])
    parts = {f"{name}.rollout": rollout, f"{name}.score": less(scored, rollout), f"{name}.update": less(whole, scored)}
    return {name: whole, **parts}


def startup():
    """Everything from the start of the process: imports, processor, checkpoint, first prompt."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(EMBEDDED)
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    AutoModelForImageTextToText.from_pretrained(EMBEDDED)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Plan the next 3 seconds."}]}]
    text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    size = {"shortest_edge": 4096, "longest_edge": 38_000}
    processor(text=[text], images=[Image.open(FRAME)], return_tensors="pt", images_kwargs={"size": size})
    return {"wall": 0.0, "cpu": time.process_time()}


def inside(args):
    name = args.inside
    if name == "startup":
        out = startup()
    elif name == "preprocess":
        import torch

        torch.set_num_threads(args.threads)
        out = preprocess()
    else:
        import torch

        torch.set_num_threads(args.threads)
        model, large = load(args.folder, args.dtype), args.shape != "small"
        if name == "sft_lora_step_2x384":
            out = train(model, True, 0 if large else 1)
        elif name == "sft_full_step_2x384":
            out = train(model, False, 1)
        elif name == "rollouts_8x64":
            out = rollouts(model, args.folder)
        elif name == "grpo_step_8x64":
            out = grpo(model, args.folder)
        elif name in ("decode_b1", "decode_b8"):
            rows = int(name[-1])
            out = decode(model, rows, steps(rows, large))
        else:
            batch = inputs(model, 1)
            work = {
                "vision_tower_1024_patches": lambda: model.model.get_image_features(
                    batch["pixel_values"], batch["image_grid_thw"]
                ),
                "prefill_256img_128text": lambda: model(**batch, logits_to_keep=1, use_cache=True),
                "generate_api_64_tokens_b1": lambda: model.generate(
                    **batch, max_new_tokens=64, min_new_tokens=64, do_sample=False, eos_token_id=1, pad_token_id=0
                ),
            }[name]
            with torch.no_grad():
                out = timed(work)
    lines = out if name in ("preprocess", "grpo_step_8x64") else {name: out}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("@@" + json.dumps({line: dict(lap, peak=peak) for line, lap in lines.items()}), flush=True)


# ---------------------------------------------------------------------------------------------------- the race itself


def run(command, env):
    """Last line of a process that begins with @@ or is the JSON of ours, and the wall time to its end."""
    begin = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    wall = time.perf_counter() - begin
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-8:]
        print(f"{' '.join(map(str, command))}\n  " + "\n  ".join(last), file=sys.stderr)
        return None, wall
    return done.stdout, wall


def python(item, args, env):
    command = [sys.executable, "-W", "ignore", __file__, "--inside", item, "--folder", args.folder]
    command += ["--shape", args.shape, "--dtype", args.dtype, "--threads", str(args.threads)]
    out, wall = run(command, env)
    if out is None:
        return {}
    lines = json.loads(next(line[2:] for line in out.splitlines() if line.startswith("@@")))
    if item == "startup":
        lines[item]["wall"] = wall
    return lines


def reinsman(item, args, env):
    command = [str(args.binary), "bench", "model", "--json", "--quiet", "--items", item, "--repeats", "1"]
    command += ["--threads", str(args.threads), "--shape", args.shape, "--quant", args.quant]
    out, _ = run(command, env)
    lines = {}
    for line in json.loads(out)["results"] if out else []:
        unit, value = line["unit"], line["value"]
        seconds = {"s": value, "ms": value / 1e3}.get(unit)
        if seconds is None:
            seconds = amount(line["name"], args.shape != "small") / value
        lines[line["name"]] = {"wall": seconds, "cpu": line["cpu_seconds"], "peak": line["peak_rss_bytes"]}
    return lines


def least(best, lines):
    for name, lap in lines.items():
        old = best.setdefault(name, dict(lap))
        for key in ("wall", "cpu"):
            old[key] = min(old[key], lap[key])
        old["peak"] = max(old["peak"], lap["peak"])


def table(names, ours, theirs):
    lines = [
        "| work item | Python CPU s | ours CPU s | ratio | target | Python wall s | ours wall s | ratio | Python RSS MiB | ours RSS MiB | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = []
    for name in names:
        a, b = theirs.get(name), ours.get(name)
        if not a or not b:
            lines.append(f"| {name} | failed |")
            continue
        ratio = {key: b[key] / a[key] for key in ("cpu", "wall", "peak")}
        rows.append({"name": name, "python": a, "reinsman": b, "ratio": ratio})
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        lines.append(
            f"| {name} | {a['cpu']:.4g} | {b['cpu']:.4g} | **{ratio['cpu']:.3f}** | {target} "
            f"| {a['wall']:.4g} | {b['wall']:.4g} | {ratio['wall']:.3f} "
            f"| {a['peak'] / 2**20:.0f} | {b['peak'] / 2**20:.0f} | {ratio['peak']:.3f} |"
        )
    return "\n".join(lines), rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="small", help="small, 2b, 3b or another name of `reinsman init --shape`")
    parser.add_argument("--quant", default="none", help="number format of our frozen weights")
    parser.add_argument("--dtype", choices=["f32", "bf16"], help="Python's number format (f32 for small, else bf16)")
    parser.add_argument("--items", default="", help="work items, separated by commas")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, alternating")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default="", help="folder of random weights (default: made for this race)")
    parser.add_argument("--binary", default=BINARY, help="the reinsman to race")
    parser.add_argument("--json", default="", help="also write the report here")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    large = args.shape != "small"
    args.dtype = args.dtype or ("bf16" if large else "f32")
    if args.inside:
        return inside(args)
    threads = str(args.threads)
    env = dict(os.environ, OMP_NUM_THREADS=threads, RAYON_NUM_THREADS=threads, OMP_WAIT_POLICY="PASSIVE")
    env.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    items = [name for name in args.items.split(",") if name] or (LARGE_ITEMS if large else SMALL_ITEMS)
    if args.quant != "none" and not args.items:
        items = [name for name in items if name != "sft_full_step_2x384"]  # quantized weights are frozen
    with tempfile.TemporaryDirectory(prefix="reinsman-race-") as scratch:
        if not args.folder:
            shape = {"2b": "qwen2-vl-2b", "3b": "qwen2.5-vl-3b"}.get(args.shape, args.shape)
            args.folder = f"{scratch}/model"
            make = [str(args.binary), "init", "--shape", shape, "--dtype", args.dtype, "--out", args.folder, "--quiet"]
            subprocess.run(make, check=True)
        ours, theirs, load = {}, {}, [os.getloadavg()]
        for item in items:
            for number in range(args.rounds):
                print(f"{item}: round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
                least(theirs, python(item, args, env))
                least(ours, reinsman(item, args, env))
        load.append(os.getloadavg())
    names = list(dict.fromkeys([*theirs, *ours]))
    text, rows = table(names, ours, theirs)
    print(f"{args.shape}: Python {args.dtype}, ours {args.quant}; {threads} threads, best of {args.rounds},")
    print(f"load average {load[0][0]:.1f} before and {load[1][0]:.1f} after\n\n{text}")
    if args.json:
        setup = {"shape": args.shape, "dtype": args.dtype, "quant": args.quant, "threads": args.threads}
        report = {"setup": dict(setup, rounds=args.rounds, load_average=load), "rows": rows}
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


main()
