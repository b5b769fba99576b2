"""Runs a command and sends it Ctrl-C when its first epoch is done."""

import signal
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
for line in process.stdout:
    if line.startswith("epoch 1/"):
        process.send_signal(signal.SIGINT)
    if not line.startswith("epoch"):
        sys.stdout.write(line)
print("exit code", process.wait())
