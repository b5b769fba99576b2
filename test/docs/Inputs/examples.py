"""Checks the examples of a page of documentation.

examples.py PAGE [SOURCE]

* A block whose first line is `// NAME` is written to the file NAME.
* In a `console` block every line `$ COMMAND` is run, in the current folder, and
  the lines after it must be what the command prints, errors included. `...`
  stands for any lines, and indentation does not count.
* A `cpp` block must stand word for word in SOURCE, which a test compiles.
"""

import re
import subprocess
import sys


def fail(block, message):
    sys.exit(f"{message}\nin the block\n{block}")


def find(chunk, lines, start):
    """Where the chunk ends in the lines from `start` on, or -1."""
    for first in range(start, len(lines) - len(chunk) + 1):
        if lines[first : first + len(chunk)] == chunk:
            return first + len(chunk)
    return -1


def check_output(block, command, expected):
    run = subprocess.run(
        command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    wanted = "\n".join(line.strip() for line in expected if line.strip())
    chunks = [chunk.split("\n") for chunk in re.split(r"^\.\.\.\n?", wanted, flags=re.M)]
    chunks = [[line for line in chunk if line] for chunk in chunks]
    place = 0
    for number, chunk in enumerate(chunks):
        end = find(chunk, printed, place)
        if end < 0 or (number == 0 and end != len(chunk)):
            fail(block, f"`{command}` prints\n{run.stdout}")
        place = end
    if chunks[-1] and place != len(printed):
        fail(block, f"`{command}` prints more:\n{run.stdout}")


def check_console(block):
    commands = re.split(r"^\$ ", block, flags=re.M)
    for part in commands[1:]:
        command, *expected = part.splitlines()
        while command.endswith("\\"):
            command = command[:-1] + expected.pop(0)
        check_output(block, command, expected)
    return len(commands) - 1


def main():
    page = open(sys.argv[1]).read()
    source = open(sys.argv[2]).read() if len(sys.argv) > 2 else None
    checked = 0
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.M | re.S):
        name = re.match(r"// (\S+)\n", block)
        if name:
            open(name.group(1), "w").write(block)
        elif language == "console":
            checked += check_console(block)
        elif language == "cpp" and source is not None:
            if block not in source:
                fail(block, f"{sys.argv[2]} does not hold the example")
            checked += 1
    print(f"checked {checked} examples")


if __name__ == "__main__":
    main()
