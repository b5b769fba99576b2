#!/usr/bin/env python3
"""Times sums of branches in PyTorch, eager and compiled, as cambium-bench does in
LibTorch, and prints JSON with the same counters, for bench/compare.

    pip install torch
    bench/peers/pytorch_branches.py --output torch.json
    bench/peers/pytorch_branches.py --filter 'ReluBranches/(4|8)$' --modes eager

Cases, forms and shapes are those of bench/growth and bench/memory:

    stack      torch.stack([layer(x) for layer in layers]).sum(0)
    in_place   y += layer(x) for each layer
    wide       one layer with the filters of all branches, summed over them
"""

import argparse
import datetime
import json
import os
import re
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    sys.exit(f"pytorch_branches.py: needs PyTorch: pip install torch ({error})")

FORMS = ("stack", "in_place", "wide")
MODES = ("eager", "compile", "max-autotune")


class Branches(nn.Module):
    """Sum over branches of relu(conv3x3(x) + b), or of conv3x3(x)."""

    def __init__(self, form, branches, channels, rectified=True):
        super().__init__()
        self.form, self.branches, self.rectified = form, branches, rectified
        wide = form == "wide"
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, channels * (branches if wide else 1), 3, padding=1,
                      bias=rectified)
            for _ in range(1 if wide else branches))
        with torch.no_grad():
            for layer in self.layers:
                layer.weight /= branches

    def branch(self, layer, x):
        return functional.relu(layer(x)) if self.rectified else layer(x)

    def forward(self, x):
        if self.form == "stack":
            return torch.stack([self.branch(layer, x) for layer in self.layers]).sum(0)
        if self.form == "wide":
            y = self.branch(self.layers[0], x)
            return y.unflatten(1, (self.branches, -1)).sum(1)
        y = self.branch(self.layers[0], x)
        for i, layer in enumerate(self.layers[1:]):
            # Backward of relu needs the first result as it was.
            if i == 0 and self.rectified:
                y = y + self.branch(layer, x)
            else:
                y += self.branch(layer, x)
        return y


class Layer(nn.Module):
    """A growing layer with the mean squared error, 64 channels, 32x32."""

    def __init__(self, form, branches, rectified):
        super().__init__()
        self.sum = Branches(form, branches, 64, rectified)

    def forward(self, x, target):
        return functional.mse_loss(self.sum(x), target)


class GrowingNetwork(nn.Module):
    """bench/memory/GrowingNetwork.h."""

    def __init__(self, form, branches):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.block1 = Branches(form, branches, 32)
        self.widen = nn.Conv2d(32, 64, 3, padding=1)
        self.block2 = Branches(form, branches, 64)
        self.hidden = nn.Linear(64 * 8 * 8, 160)
        self.head = nn.Linear(160, 10)

    def forward(self, x, labels):
        x = functional.max_pool2d(self.block1(functional.relu(self.stem(x))), 2)
        x = functional.max_pool2d(self.block2(functional.relu(self.widen(x))), 2)
        x = functional.relu(self.hidden(x.flatten(1)))
        return functional.cross_entropy(self.head(x), labels)


def relu_branches(form, branches):
    x = torch.rand(16, 64, 32, 32).requires_grad_()
    return Layer(form, branches, True), (x, torch.rand(16, 64, 32, 32)), None


def linear_branches(form, branches):
    x = torch.rand(16, 64, 32, 32)
    return (Layer(form, branches, False), (x, torch.rand(16, 64, 32, 32)),
            0.1 / branches)


def growth_curve(form, branches):
    images = torch.rand(32, 3, 32, 32)
    return GrowingNetwork(form, branches), (images, torch.arange(32) % 10), 0.001


CASES = {
    "ReluBranches": (relu_branches, (1, 4, 8, 16, 32)),
    "LinearBranches": (linear_branches, (1, 4, 16, 32)),
    "GrowthCurve": (growth_curve, (3, 8, 13, 18, 23, 28)),
}


def measure(make, form, branches, mode, rounds):
    """Median milliseconds of a step, bytes, and seconds of the first step."""
    torch.manual_seed(0)
    torch.compiler.reset()
    model, inputs, rate = make(form, branches)
    parameters = list(model.parameters())
    sgd = torch.optim.SGD(parameters, lr=rate, momentum=0.9) if rate else None
    run = model
    if mode == "compile":
        run = torch.compile(model)
    elif mode == "max-autotune":
        run = torch.compile(model, mode="max-autotune")

    def step():
        for tensor in parameters + [x for x in inputs if x.requires_grad]:
            tensor.grad = None
        run(*inputs).backward()
        if sgd:
            sgd.step()

    def timed():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    first = timed()
    step()
    seconds = statistics.median(timed() for _ in range(rounds))
    return {
        f"{form}_ms": seconds * 1e3,
        f"{form}_kept_bytes": kept_bytes(run, inputs, parameters),
        f"{form}_first_step_ms": first * 1e3,
    }, sum(parameter.numel() for parameter in parameters)


def kept_bytes(run, inputs, parameters):
    """Bytes of the distinct tensors that autograd saves, also for the loss, but not
    parameters, targets and the network's images."""
    others = parameters + [tensor for tensor in inputs if not tensor.requires_grad]
    owned = {tensor.untyped_storage().data_ptr() for tensor in others}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run(*inputs)
    del loss
    return sum(saved.values())


def processor_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"


def run_case(name, make, branches, mode, arguments):
    case = {"name": f"PyTorch/{mode}/{name}/{branches}", "time_unit": "ms", "label": f"PyTorch, {mode}"}
    for form in arguments.forms:
        print(f"{case['name']} {mode} {form}", file=sys.stderr, flush=True)
        try:
            counters, case["parameters"] = measure(make, form, branches, mode,
                                                   arguments.rounds)
            case.update(counters)
        except Exception as error:  # a form that one version cannot compile
            if mode == "eager":
                raise
            print(f"  failed: {error}", file=sys.stderr)
            case["label"] += f"; {form} failed"
    times = [case[f"{form}_ms"] for form in arguments.forms if f"{form}_ms" in case]
    case["real_time"] = case["step_ms"] = min(times, default=float("nan"))
    return case


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="", help="regular expression of cases")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES[:2])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5, help="steps that are timed")
    parser.add_argument("--output", help="write the JSON here, not to standard output")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    cases = []
    for mode in arguments.modes:
        for name, (make, counts) in CASES.items():
            for branches in counts:
                if re.search(arguments.filter, f"{name}/{branches}"):
                    cases.append(run_case(name, make, branches, mode, arguments))
    result = {
        "context": {
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "processor": processor_name(),
            "isa": torch.backends.cpu.get_cpu_capability().lower(),
            "threads": str(arguments.threads),
            "rounds": str(arguments.rounds),
            "peer": f"PyTorch {torch.__version__}",
        },
        "benchmarks": cases,
    }
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    else:
        json.dump(result, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
