import glob
import os

import lit.formats

config.name = "Cambium"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.test_source_root = os.path.dirname(__file__)
# Inputs and networks are read by tests; unit tests and the conformance suite
# are run by ctest.
config.excludes = ["Inputs", "networks", "unit", "conformance"]

config.environment["PATH"] = os.pathsep.join(
    [config.cambium_tools_dir, config.llvm_tools_dir, config.environment["PATH"]]
)

# `%cambium-opt` and the like name this build's tools by their full path; the
# bare names find them through PATH.
for tool in sorted(glob.glob(os.path.join(config.cambium_tools_dir, "cambium-*"))):
    config.substitutions.append(("%" + os.path.basename(tool) + r"\b", tool))
config.substitutions.append(("%source_dir", config.cambium_source_dir))
