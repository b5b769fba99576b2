"""Prints the examples of the dialect's operations as one module of functions.

Every operation's description must hold an example; operands that an example does
not define become arguments of its function, with the types that it writes.
"""

import re
import sys

DEFINITION = re.compile(
    r"def Grow_(\w+)Op\b[^{]*\{.*?let description = \[\{(.*?)\}\];", re.S
)
# Declared by test/IR/module.mlir, or parts of another operation's example.
ELSEWHERE = {"Yield"}
# The map writes its operands' types in its body only.
TYPES = {
    "Map": {
        "x": "tensor<?x28x28x16xf32>",
        "w0": "tensor<3x3x16x32xf32>",
        "w1": "tensor<3x3x16x32xf32>",
    }
}


def example(description):
    text = description.split("Example:", 1)[1]
    block = re.search(r"```mlir\n(.*?)```", text, re.S)
    return block.group(1) if block else re.search(r"`(.*?)`", text, re.S).group(1)


def argument_types(name, code):
    if name in TYPES:
        return TYPES[name]
    types, defined = {}, set()
    for statement in re.split(r"\n\s*(?=%)", code.strip()):
        results, _, rest = statement.partition("=")
        operands, _, signature = rest.partition(" : ")
        if not signature:
            operands, _, signature = rest.partition("\n")
            signature = signature.partition(":")[2]
        names = re.findall(r"%(\w+)", operands)
        sources = re.findall(r"tensor<[^>]*>", signature.split("->")[0])
        if len(sources) == 1:
            sources *= len(names)
        for operand, source in zip(names, sources):
            if operand not in defined:
                types[operand] = source
        defined.update(re.findall(r"%(\w+)", results))
    return types


def main():
    text = "".join(open(path).read() for path in sys.argv[1:])
    for name, description in DEFINITION.findall(text):
        if name in ELSEWHERE:
            continue
        if "Example:" not in description:
            sys.exit(f"{name} has no example")
        code = example(description)
        arguments = ", ".join(
            f"%{operand}: {kind}" for operand, kind in argument_types(name, code).items()
        )
        print(f"func.func @{name}({arguments}) {{\n{code}\n  return\n}}")


if __name__ == "__main__":
    main()
