"""Runs a command that saves to FILE, kills it a few times while it does, and
lets it end.

usage: kill-and-resume.py FILE COMMAND...

Every start after the first has --resume=FILE. A start is killed after some saves
of its own, at any moment of the next step or save.
"""

import os
import random
import subprocess
import sys
import time


def contents(path):
    try:
        info = os.stat(path)
        return info.st_ino, info.st_mtime_ns
    except FileNotFoundError:
        return None


def main():
    path, command = sys.argv[1], sys.argv[2:]
    delays = random.Random(1)
    killed = 0
    while killed < 4:
        before = contents(path)
        resume = ["--resume=" + path] if before else []
        process = subprocess.Popen(command + resume, stdout=subprocess.DEVNULL)
        saves = delays.randrange(1, 50)
        while process.poll() is None and saves > 0:
            now = contents(path)
            saves -= now != before
            before = now
            time.sleep(0.0005)
        time.sleep(delays.uniform(0.0, 0.005))
        process.kill()
        if process.wait() >= 0:
            sys.exit("it ended by itself after %d kills" % killed)
        killed += 1
    print("killed %d times" % killed)
    sys.stdout.flush()
    sys.exit(subprocess.call(command + ["--resume=" + path]))


main()
