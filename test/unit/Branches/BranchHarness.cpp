//===- BranchHarness.cpp - Runs kernels of branches and a naive peer ------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchHarness.h"
#include "BranchHooks.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Error.h"
#include "gtest/gtest.h"
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;
using Join = BranchSpec::Join;

//===----------------------------------------------------------------------===//
// Cases
//===----------------------------------------------------------------------===//

BranchSpec BranchCase::spec() const {
  BranchSpec spec;
  spec.contraction = problem.spec(kind);
  spec.join = join;
  spec.recompute = recomputes();
  spec.sums = kind == Kind::BackwardFilter ? sums : 0;
  return spec;
}

bool BranchCase::recomputes() const {
  return kind != Kind::Forward && recompute;
}

bool BranchCase::storesBits() const {
  return kind == Kind::Forward && activation == Activation::Relu;
}

bool BranchCase::readsBits() const {
  return kind != Kind::Forward && activation == Activation::Relu && !recompute;
}

std::string BranchCase::str() const {
  std::ostringstream text;
  text << problem.spec(kind).str() << " of " << problem.str()
       << " branches=" << branches
       << " activation=" << static_cast<int>(activation)
       << " join=" << static_cast<int>(join) << (inputRelu ? " inputRelu" : "")
       << (recompute ? " recompute" : "") << (slicedGradient ? " sliced" : "")
       << (residual ? " residual" : "") << " sums=" << sums;
  return text.str();
}

static std::vector<int64_t> joinedShape(const BranchCase &test) {
  std::vector<int64_t> shape = test.kind == Kind::BackwardData
                                   ? test.problem.xShape()
                                   : test.problem.yShape();
  if (test.join == Join::Concat)
    shape.back() *= test.branches;
  return shape;
}

static std::vector<int64_t> gradientShape(const BranchCase &test) {
  std::vector<int64_t> shape = test.problem.yShape();
  if (test.slicedGradient)
    shape.back() *= test.branches;
  return shape;
}

static int64_t bitBytes(const BranchCase &test) {
  int64_t channels = test.problem.extents.outC;
  return elements(test.problem.yShape()) / channels * ((channels + 7) / 8);
}

BranchOperands::BranchOperands(const BranchCase &test, unsigned seed) {
  std::mt19937 random(seed);
  x = randomFloats(elements(test.problem.xShape()), random);
  dy = randomFloats(elements(gradientShape(test)), random);
  residual = randomFloats(elements(joinedShape(test)), random);
  // Accumulators of about one, where activations are far from linear.
  std::vector<int64_t> filter = test.problem.wShape();
  float scale =
      1 / std::sqrt(static_cast<float>(elements(filter) / filter.back()));
  for (int64_t i = 0; i < test.branches; ++i) {
    w.push_back(randomFloats(elements(filter), random));
    for (float &value : w.back())
      value *= scale;
    bias.push_back(randomFloats(test.problem.extents.outC, random));
    auto &branchBits = bits.emplace_back(bitBytes(test));
    for (uint8_t &byte : branchBits)
      byte = random();
  }
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {

/// Where a case's kernel keeps its tensors. Shared: x, dy, residual, result,
/// workspace. Of each branch: w, bias, bits, dw, sums. Those that the kernel
/// has no use for are left out.
struct Places {
  BranchLayout layout;
  HookPlaces hooks;
  std::vector<int64_t> dims;

  explicit Places(const BranchCase &test);

private:
  int64_t addDims(const std::vector<int64_t> &shape) {
    int64_t first = dims.size();
    dims.insert(dims.end(), shape.begin(), shape.end());
    return first;
  }
};

} // namespace

Places::Places(const BranchCase &test) {
  bool again = test.recomputes();
  bool filterGradient = test.kind == Kind::BackwardFilter;
  int64_t shared = 0, own = 0;
  if (test.kind != Kind::BackwardData || again || test.inputRelu)
    layout.input = {shared++, false, addDims(test.problem.xShape())};
  if (test.kind != Kind::Forward)
    layout.gradient = {shared++, false, addDims(gradientShape(test))};
  layout.slicedGradient = test.slicedGradient;
  if (test.residual)
    hooks.residual = shared++;
  if (!filterGradient)
    layout.result = {shared++, false, addDims(joinedShape(test))};
  layout.workspace = shared++;
  layout.numShared = shared;

  if (!filterGradient || again)
    layout.filter = {own++, true, addDims(test.problem.wShape())};
  if (test.activation != Activation::None && !test.readsBits())
    hooks.bias = own++;
  if (test.storesBits() || test.readsBits())
    hooks.bits = own++;
  if (filterGradient)
    layout.result = {own++, true, addDims(test.problem.wShape())};
  for (int64_t i = 0; i < test.spec().sums; ++i)
    layout.sums.push_back({own++, true, addDims({test.problem.extents.outC})});
  layout.tupleSize = own;
  layout.branchesDim = addDims({test.branches});
  hooks.input = layout.input.buffer;
  hooks.gradient = layout.gradient.buffer;
}

mlir::OwningOpRef<mlir::ModuleOp>
cambium::test::branchModule(const BranchCase &test,
                            const ContractionSchedule &schedule) {
  mlir::OpBuilder builder(&context());
  mlir::Location loc = builder.getUnknownLoc();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  Places places(test);
  withHooks(test, places.hooks, schedule.vectorWidth,
            [&](const BranchHooks &hooks) {
              emitBranches(builder, loc, "kernel", test.spec(), schedule,
                           places.layout, hooks);
            });
  if (mlir::failed(mlir::verify(*module)))
    throw std::runtime_error("emitted kernel is invalid");
  return module;
}

LaunchSizes cambium::test::branchSizes(const BranchCase &test,
                                       const ContractionSchedule &schedule) {
  Places places(test);
  return branchesLaunch(test.spec(), schedule, places.layout, places.dims);
}

ContractionSchedule cambium::test::branchSchedule(const Jit &jit,
                                                  const BranchCase &test,
                                                  int64_t winograd) {
  ContractionSchedule schedule = chooseSchedule(
      test.spec().contraction, std::max<int64_t>(vectorWidth(jit.isa()), 8),
      test.problem.extents, TileOrder::Rows);
  schedule.winograd = winograd;
  return schedule;
}

BranchKernel::BranchKernel(Jit &jit, const BranchCase &test,
                           const ContractionSchedule &schedule)
    : schedule(schedule), code(compile(jit, *branchModule(test, schedule))) {}

namespace {

/// The buffers of one run.
class Memory {
public:
  explicit Memory(bool guardStart) : guardStart(guardStart) {}

  void *add(const Floats &values) {
    float *data = static_cast<float *>(add(values.size()));
    std::copy(values.begin(), values.end(), data);
    return data;
  }
  void *add(size_t floats) {
    blocks.emplace_back(floats, guardStart);
    return blocks.back().data();
  }
  /// Bytes that end, or begin, right at a page that cannot be touched.
  uint8_t *addBytes(size_t bytes) {
    blocks.emplace_back((bytes + 3) / 4, guardStart);
    auto *data = reinterpret_cast<uint8_t *>(blocks.back().data());
    return guardStart ? data : data + (bytes + 3) / 4 * 4 - bytes;
  }

private:
  bool guardStart;
  std::vector<GuardedFloats> blocks;
};

} // namespace

static void runPhase(PhaseFunction phase, void *const *buffers,
                     const int64_t *dims, int64_t first, int64_t tasks,
                     GuardedFloats &scratch, TaskSplit split) {
  auto call = [&](int64_t begin, int64_t end) {
    std::fill_n(scratch.data(), scratch.size(),
                std::numeric_limits<float>::quiet_NaN());
    phase(buffers, dims, first + begin, first + end, scratch.data());
  };
  switch (split) {
  case TaskSplit::AtOnce:
    return call(0, tasks);
  case TaskSplit::ThreeAtATime:
    for (int64_t task = 0; task < tasks; task += 3)
      call(task, std::min(task + 3, tasks));
    return;
  case TaskSplit::BackwardsOneByOne:
    for (int64_t task = tasks; task-- > 0;)
      call(task, task + 1);
    return;
  }
}

BranchResults BranchKernel::run(const BranchCase &test,
                                const BranchOperands &operands, TaskSplit split,
                                bool guardStart) const {
  Places places(test);
  const BranchLayout &layout = places.layout;
  LaunchSizes sizes =
      branchesLaunch(test.spec(), schedule, layout, places.dims);
  if (sizes.tasks.size() != code->phases().size())
    throw std::logic_error("wrong number of phases");

  Memory memory(guardStart);
  std::vector<void *> buffers(layout.numShared +
                              test.branches * layout.tupleSize);
  auto place = [&](int64_t buffer, auto add) {
    if (buffer >= 0)
      buffers[buffer] = add();
  };
  bool filterGradient = test.kind == Kind::BackwardFilter;
  size_t joined = filterGradient ? 0 : elements(joinedShape(test));
  place(layout.input.buffer, [&] { return memory.add(operands.x); });
  place(layout.gradient.buffer, [&] { return memory.add(operands.dy); });
  place(places.hooks.residual, [&] { return memory.add(operands.residual); });
  if (!filterGradient)
    place(layout.result.buffer, [&] { return memory.add(joined); });
  place(layout.workspace,
        [&] { return memory.add(sizes.workspaceBytes / sizeof(float)); });
  auto own = [&](int64_t branch, int64_t buffer) {
    return buffer < 0 ? -1
                      : layout.numShared + branch * layout.tupleSize + buffer;
  };
  size_t bytes = bitBytes(test), channels = test.problem.extents.outC;
  size_t filterFloats = elements(test.problem.wShape());
  for (int64_t i = 0; i < test.branches; ++i) {
    place(own(i, layout.filter.buffer),
          [&] { return memory.add(operands.w[i]); });
    place(own(i, places.hooks.bias),
          [&] { return memory.add(operands.bias[i]); });
    place(own(i, places.hooks.bits), [&] {
      uint8_t *bits = memory.addBytes(bytes);
      if (test.readsBits())
        std::copy(operands.bits[i].begin(), operands.bits[i].end(), bits);
      return bits;
    });
    if (filterGradient)
      place(own(i, layout.result.buffer),
            [&] { return memory.add(filterFloats); });
    for (const BranchSlot &sum : layout.sums)
      place(own(i, sum.buffer), [&] { return memory.add(channels); });
  }

  GuardedFloats scratch(sizes.scratchBytes / sizeof(float), guardStart);
  for (int64_t round = 0; round < sizes.rounds; ++round)
    for (auto [phase, tasks] : llvm::zip(code->phases(), sizes.tasks))
      runPhase(phase, buffers.data(), places.dims.data(), round * tasks, tasks,
               scratch, split);

  BranchResults results;
  auto floats = [&](int64_t buffer, size_t count) {
    auto *data = static_cast<const float *>(buffers[buffer]);
    return Floats(data, data + count);
  };
  if (!filterGradient)
    results.joined = floats(layout.result.buffer, joined);
  for (int64_t i = 0; i < test.branches; ++i) {
    if (filterGradient)
      results.filters.push_back(
          floats(own(i, layout.result.buffer), filterFloats));
    for (const BranchSlot &sum : layout.sums)
      results.sums.push_back(floats(own(i, sum.buffer), channels));
    if (test.storesBits()) {
      auto *bits =
          static_cast<const uint8_t *>(buffers[own(i, places.hooks.bits)]);
      results.bits.emplace_back(bits, bits + bytes);
    }
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Expectations
//===----------------------------------------------------------------------===//

namespace {

/// The results of a case in double precision.
class Naive {
public:
  Naive(const BranchCase &test, const BranchOperands &operands)
      : test(test), operands(operands), problem(test.problem),
        channels(problem.extents.outC), input(operands.x) {
    if (test.inputRelu)
      for (float &value : input)
        value = std::max(value, 0.0f);
  }

  /// What comes out of the contraction and the bias.
  Doubles preActivation(int64_t branch) const;
  /// Forward's result of a branch, or dx.
  Doubles branchResult(int64_t branch) const;
  Floats gradient(int64_t branch) const;
  Doubles joined() const;
  Doubles filter(int64_t branch) const {
    return naiveContraction(problem, Kind::BackwardFilter, input,
                            gradient(branch));
  }
  Doubles sum(int64_t branch, int64_t index) const;

private:
  double slope(int64_t branch, int64_t element, double z) const;

  const BranchCase &test;
  const BranchOperands &operands;
  const Problem &problem;
  const int64_t channels;
  Floats input;
};

} // namespace

Doubles Naive::preActivation(int64_t branch) const {
  Doubles z =
      naiveContraction(problem, Kind::Forward, input, operands.w[branch]);
  if (test.activation != Activation::None)
    for (size_t i = 0; i < z.size(); ++i)
      z[i] += operands.bias[branch][i % channels];
  return z;
}

double Naive::slope(int64_t branch, int64_t element, double z) const {
  switch (test.activation) {
  case Activation::None:
    return 1;
  case Activation::Relu: {
    int64_t pixel = element / channels, channel = element % channels;
    int64_t byte = pixel * ((channels + 7) / 8) + channel / 8;
    return operands.bits[branch][byte] >> channel % 8 & 1;
  }
  case Activation::Smooth:
    return (1 - z * z) / ((1 + z * z) * (1 + z * z));
  }
  return 0;
}

Floats Naive::gradient(int64_t branch) const {
  Doubles z;
  if (test.activation == Activation::Smooth)
    z = preActivation(branch);
  Floats gradient(elements(problem.yShape()));
  for (int64_t i = 0; i < static_cast<int64_t>(gradient.size()); ++i) {
    int64_t at = i;
    if (test.slicedGradient)
      at = (i / channels * test.branches + branch) * channels + i % channels;
    gradient[i] = operands.dy[at] * slope(branch, i, z.empty() ? 0.0 : z[i]);
  }
  return gradient;
}

Doubles Naive::branchResult(int64_t branch) const {
  if (test.kind == Kind::BackwardData) {
    Doubles result = naiveContraction(problem, test.kind, gradient(branch),
                                      operands.w[branch]);
    if (test.inputRelu)
      for (size_t i = 0; i < result.size(); ++i)
        if (!(operands.x[i] > 0))
          result[i] = 0;
    return result;
  }
  Doubles result = preActivation(branch);
  for (double &z : result)
    if (test.activation == Activation::Relu)
      z = std::max(z, 0.0);
    else if (test.activation == Activation::Smooth)
      z = z / (1 + z * z);
  return result;
}

Doubles Naive::joined() const {
  Doubles joined(operands.residual.size());
  int64_t own = test.kind == Kind::Forward ? channels : problem.extents.inC;
  for (int64_t branch = 0; branch < test.branches; ++branch) {
    Doubles result = branchResult(branch);
    for (int64_t i = 0; i < static_cast<int64_t>(result.size()); ++i) {
      if (test.join == Join::Concat)
        joined[(i / own * test.branches + branch) * own + i % own] = result[i];
      else
        joined[i] += result[i] / (test.join == Join::Mean ? test.branches : 1);
    }
  }
  if (test.residual)
    for (size_t i = 0; i < joined.size(); ++i)
      joined[i] += operands.residual[i];
  return joined;
}

Doubles Naive::sum(int64_t branch, int64_t index) const {
  Doubles sum(channels);
  Floats values = gradient(branch);
  for (size_t i = 0; i < values.size(); ++i)
    sum[i % channels] +=
        index == 0 ? values[i] : static_cast<double>(values[i]) * values[i];
  return sum;
}

/// Bits may differ from the signs in double precision next to zero only.
static void expectSigns(const BranchCase &test, const Doubles &z,
                        const std::vector<uint8_t> &bits) {
  int64_t channels = test.problem.extents.outC;
  int64_t wrong = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(z.size()); ++i) {
    int64_t channel = i % channels;
    int64_t byte = i / channels * ((channels + 7) / 8) + channel / 8;
    bool bit = bits[byte] >> channel % 8 & 1;
    wrong += bit != (z[i] > 0) && std::abs(z[i]) > 1e-3;
  }
  EXPECT_EQ(wrong, 0) << test.str();
}

static void expectNear(const Floats &actual, const Doubles &expected,
                       double tolerance, const BranchCase &test,
                       const char *what) {
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_LE(relativeError(actual.data(), expected), tolerance)
      << what << " of " << test.str();
}

static void expectResults(const BranchCase &test,
                          const BranchOperands &operands,
                          const BranchResults &actual, double tolerance) {
  Naive naive(test, operands);
  if (test.kind != Kind::BackwardFilter)
    expectNear(actual.joined, naive.joined(), tolerance, test, "result");
  for (int64_t i = 0; i < test.branches; ++i) {
    if (test.kind == Kind::BackwardFilter)
      expectNear(actual.filters[i], naive.filter(i), tolerance, test, "dw");
    for (int64_t sum = 0; sum < test.spec().sums; ++sum)
      expectNear(actual.sums[i * test.sums + sum], naive.sum(i, sum), tolerance,
                 test, "sum");
    if (test.storesBits())
      expectSigns(test, naive.preActivation(i), actual.bits[i]);
  }
}

void cambium::test::expectMatches(const BranchKernel &kernel,
                                  const BranchCase &test, unsigned seed,
                                  double tolerance) {
  BranchOperands operands(test, seed);
  bool guardStart = seed % 2 == 0;
  BranchResults atOnce =
      kernel.run(test, operands, TaskSplit::AtOnce, guardStart);
  expectResults(test, operands, atOnce, tolerance);
  for (TaskSplit split :
       {TaskSplit::ThreeAtATime, TaskSplit::BackwardsOneByOne})
    EXPECT_TRUE(kernel.run(test, operands, split, !guardStart) == atOnce)
        << "the split " << static_cast<int>(split) << " changes bits of "
        << test.str();
}

void cambium::test::expectMatches(Jit &jit, const BranchCase &test,
                                  const ContractionSchedule &schedule,
                                  unsigned seed, double tolerance) {
  BranchKernel kernel(jit, test, schedule);
  if (!test.recomputes() || test.activation != Activation::Relu)
    return expectMatches(kernel, test, seed, tolerance);

  // Which signs are stored next to zero is the Forward kernel's to say.
  BranchOperands operands(test, seed);
  BranchCase forward = test, masked = test;
  forward.kind = Kind::Forward;
  forward.join = Join::Sum;
  forward.slicedGradient = forward.residual = false;
  masked.recompute = false;
  BranchOperands forwardOperands = operands;
  operands.bits =
      BranchKernel(jit, forward, schedule).run(forward, forwardOperands).bits;
  BranchResults expected =
      BranchKernel(jit, masked, schedule).run(masked, operands);
  expectResults(masked, operands, expected, tolerance);
  for (TaskSplit split : {TaskSplit::AtOnce, TaskSplit::ThreeAtATime,
                          TaskSplit::BackwardsOneByOne})
    EXPECT_TRUE(kernel.run(test, operands, split, seed % 2 == 0) == expected)
        << "recomputed, the split " << static_cast<int>(split)
        << " differs in bits for " << test.str();
}
