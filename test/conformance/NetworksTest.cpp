//===- NetworksTest.cpp - Gradients of whole networks ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `cambium-run --entry=loss --grad --compare=reference` says about every
// trainable network of the repository.
//
//===----------------------------------------------------------------------===//

#include "Environment.h"
#include "Run.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace cambium;
using namespace cambium::conformance;

namespace {

namespace fs = std::filesystem;

std::string readFile(const fs::path &path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// Files with a loss function and parameters; those whose names speak of errors
/// are not meant to work.
std::vector<fs::path> networks() {
  fs::path root = fs::path(CAMBIUM_TEST_DIR).parent_path().parent_path();
  std::vector<fs::path> found;
  for (const char *folder : {"test/networks", "bench", "tools"})
    if (fs::exists(root / folder))
      for (const auto &file : fs::recursive_directory_iterator(root / folder)) {
        if (file.path().extension() != ".mlir")
          continue;
        std::string text = readFile(file.path());
        if (text.find("func.func @loss") != std::string::npos &&
            text.find("grow.param") != std::string::npos)
          found.push_back(file.path());
      }
  std::sort(found.begin(), found.end());
  return found;
}

class NetworksTest : public ::testing::TestWithParam<fs::path> {};

TEST_P(NetworksTest, GradientsAreTheReferences) {
  Environment &environment = Environment::of("host");
  auto module = environment.parse(readFile(GetParam()));
  ASSERT_TRUE(module);
  RunOptions options;
  options.entry = "loss";
  options.gradients = true;
  options.compare = true;
  std::string printed;
  llvm::raw_string_ostream out(printed);
  RunOutcome outcome = run(*module, options, out);
  EXPECT_EQ(outcome, RunOutcome::Done) << environment.diagnostics << printed;
}

INSTANTIATE_TEST_SUITE_P(
    Repository, NetworksTest, ::testing::ValuesIn(networks()),
    [](const ::testing::TestParamInfo<fs::path> &info) {
      std::string name = info.param.parent_path().filename().string() + "_" +
                         info.param.stem().string();
      for (char &character : name)
        if (!std::isalnum(static_cast<unsigned char>(character)))
          character = '_';
      return name;
    });

} // namespace
