//===- KernelCacheTest.cpp - Life of machine code -------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/API/DeviceProgram.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Runtime/HostDevice.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace cambium;

namespace {

constexpr const char *network = R"(
func.func @forward(%x: tensor<?x5xf32>) -> tensor<?x5xf32> {
  %a = grow.relu %x : tensor<?x5xf32>
  %b = grow.scale %a by 3.0 : tensor<?x5xf32>
  return %b : tensor<?x5xf32>
})";

class KernelCacheTest : public ::testing::Test {
protected:
  KernelCacheTest() : cache(llvm::cantFail(Jit::create())) {
    DialectRegistry registry;
    grow::registerDialects(registry);
    context.appendDialectRegistry(registry);
  }

  std::unique_ptr<DeviceProgram> compile() {
    auto module = parseSourceString<ModuleOp>(network, &context);
    PassManager passes(&context);
    grow::buildKernelsPipeline(passes, {});
    EXPECT_TRUE(module && succeeded(passes.run(*module)));
    auto program = DeviceProgram::create(std::move(module), cache, store);
    EXPECT_TRUE(succeeded(program));
    return std::move(*program);
  }

  MLIRContext context;
  HostKernelCache cache;
  ParameterStore store;
};

TEST_F(KernelCacheTest, CodeIsSharedAndFreedWithItsLastProgram) {
  std::unique_ptr<DeviceProgram> first = compile();
  EXPECT_EQ(first->getKernels().compiled, 1);
  EXPECT_EQ(first->getKernels().reused, 0);
  std::unique_ptr<DeviceProgram> second = compile();
  EXPECT_EQ(second->getKernels().compiled, 0);
  EXPECT_EQ(second->getKernels().reused, 1);
  first.reset();
  HostDevice device(1);
  std::vector<float> x = {-1.0f, 2.0f, 0.0f, 4.0f, -5.0f};
  auto results = second->call("forward", TensorView(x.data(), {1, 5}), device);
  ASSERT_TRUE(succeeded(results));
  EXPECT_EQ((*results)[0].data, (std::vector<float>{0, 6, 0, 12, 0}));
  second.reset();
  EXPECT_EQ(compile()->getKernels().compiled, 1);
}

} // namespace
