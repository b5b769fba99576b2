//===- CudaDevice.cpp - Runs plans on a CUDA device -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaDevice.h"
#include "CudaContext.h"

#include "cambium/Error.h"
#include "cambium/Runtime/CudaCompiler.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <variant>

using namespace cambium;
using namespace cambium::cuda;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {

/// Dynamic shared memory that a block has without being asked.
constexpr int64_t kFreeSharedBytes = 48 << 10;

class Kernel : public KernelCode {
public:
  Kernel(const Context &context, const std::vector<char> &cubin,
         const std::string &name);
  ~Kernel() override;

  /// Phase `phase` with room for so much dynamic shared memory. Throws Error.
  CUfunction function(size_t phase, int64_t sharedBytes) const;

  const std::string name;

private:
  struct Phase {
    CUfunction function;
    /// What the function may use. It never shrinks: graphs rely on it.
    int64_t sharedBytes;
  };

  const Context &context;
  CUmodule module = nullptr;
  mutable std::vector<Phase> phases;
};

Kernel::Kernel(const Context &context, const std::vector<char> &cubin,
               const std::string &name)
    : name(name), context(context) {
  context.enter();
  const Driver &driver = context.driver;
  check(driver.cuModuleLoadData(&module, cubin.data()),
        ("cannot load the kernel '" + name + "'").c_str());
  CUresult result;
  do {
    std::string phase = name + "_phase" + std::to_string(phases.size());
    CUfunction function = nullptr;
    result = driver.cuModuleGetFunction(&function, module, phase.c_str());
    if (result == CUDA_SUCCESS)
      phases.push_back({function, kFreeSharedBytes});
  } while (result == CUDA_SUCCESS);
  if (result == CUDA_ERROR_NOT_FOUND && !phases.empty())
    return;
  driver.cuModuleUnload(module);
  check(result, ("cannot find the functions of kernel '" + name + "'").c_str());
}

Kernel::~Kernel() {
  context.driver.cuCtxSetCurrent(context.handle);
  context.driver.cuStreamSynchronize(context.stream);
  context.driver.cuModuleUnload(module);
}

CUfunction Kernel::function(size_t number, int64_t sharedBytes) const {
  Phase &phase = phases.at(number);
  if (sharedBytes <= phase.sharedBytes)
    return phase.function;
  int most =
      context.attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  if (sharedBytes > most)
    throw Error("kernel '" + name + "' needs " + std::to_string(sharedBytes) +
                " bytes of shared memory for a thread block; the device has " +
                std::to_string(most));
  check(context.driver.cuFuncSetAttribute(
            phase.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            static_cast<int>(sharedBytes)),
        ("cannot give shared memory to kernel '" + name + "'").c_str());
  phase.sharedBytes = sharedBytes;
  return phase.function;
}

/// Memory of the device that grows. A generation is one place of it.
class Region {
public:
  explicit Region(Memory &memory) : memory(memory) {}
  ~Region() { release(); }

  /// True if it moved.
  bool reserve(int64_t wanted) {
    if (wanted <= bytes)
      return false;
    // Freed before, so that both are never there at once.
    release();
    address = static_cast<char *>(memory.allocate(wanted));
    bytes = wanted;
    return true;
  }

  char *address = nullptr;

private:
  void release() {
    if (address)
      memory.release(address);
    address = nullptr;
    bytes = 0;
  }

  Memory &memory;
  int64_t bytes = 0;
};

//===----------------------------------------------------------------------===//
// Prepared plans
//===----------------------------------------------------------------------===//

/// A plan with everything that the driver is given for it.
struct Prepared {
  struct GridLaunch {
    CUfunction function;
    unsigned blocks, threads, sharedBytes;
    int firstTask;
    /// Of Prepared::arguments: the launch's `cambium::Arguments`.
    size_t arguments;
    const std::string *kernel;
  };
  struct Convolution {
    const LibraryPlan *plan;
    /// Tensors as LibraryPlan::run takes them, then workspace.
    std::array<uint64_t, 4> addresses;
  };

  Prepared(const Context &context, Memory &memory)
      : context(context), tables(memory) {}
  ~Prepared() { dropGraph(); }

  void dropGraph() {
    if (!graph)
      return;
    context.driver.cuCtxSetCurrent(context.handle);
    context.driver.cuStreamSynchronize(context.stream);
    context.driver.cuGraphExecDestroy(graph);
    graph = nullptr;
  }

  const Context &context;
  /// Of the regions whose addresses are in the arguments; 0 for none.
  uint64_t generation = 0;
  std::vector<std::variant<GridLaunch, Convolution>> launches;
  std::vector<char> arguments;
  /// Addresses of the branches' buffers, for all launches.
  Region tables;
  CUgraphExec graph = nullptr;
};

/// Appends an object's bytes at a multiple of its size.
template <typename T> void append(std::vector<char> &bytes, T value) {
  bytes.resize((bytes.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T));
  const char *begin = reinterpret_cast<const char *>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

} // namespace

//===----------------------------------------------------------------------===//
// Device
//===----------------------------------------------------------------------===//

struct cuda::Device::Impl {
  explicit Impl(int ordinal)
      : context(ordinal), memory(context), arena(memory) {
    const char *wanted = std::getenv("CAMBIUM_CUDA_GRAPHS");
    graphs = !wanted || std::strcmp(wanted, "0") != 0;
  }

  void reserve(const Plan &plan);
  char *address(const BoundPlan &plan, const Slot &slot) const;
  Prepared &prepare(const BoundPlan &plan);
  void addArguments(const BoundPlan &plan, const Launch &launch,
                    std::vector<void *> &tables, Prepared &prepared);
  void addGrids(const BoundPlan &plan, const Launch &launch,
                std::vector<void *> &tables, Prepared &prepared);
  void addConvolution(const BoundPlan &plan, const Launch &launch,
                      Prepared &prepared);
  void launch(const Prepared &prepared, const Prepared::GridLaunch &grid);
  void launchAll(const Prepared &prepared, const BoundPlan &plan);
  CUgraphExec capture(const Prepared &prepared, const BoundPlan &plan);

  Context context;
  DeviceMemory memory;
  Region arena;
  /// One for each function argument.
  std::vector<std::unique_ptr<Region>> inputs;
  /// Counts the moves of the regions above.
  uint64_t generation = 1;
  bool graphs = true;
};

void cuda::Device::Impl::reserve(const Plan &plan) {
  // Counted before: a failure leaves a region without a place.
  auto grow = [&](Region &region, int64_t bytes) {
    ++generation;
    if (!region.reserve(bytes))
      --generation;
  };
  grow(arena, plan.arenaBytes);
  while (inputs.size() < plan.inputBytes.size())
    inputs.push_back(std::make_unique<Region>(memory));
  for (size_t i = 0; i < plan.inputBytes.size(); ++i)
    grow(*inputs[i], plan.inputBytes[i]);
}

char *cuda::Device::Impl::address(const BoundPlan &plan,
                                  const Slot &slot) const {
  auto of = [](float *values) { return reinterpret_cast<char *>(values); };
  switch (slot.space) {
  case Slot::Space::Arena:
    return arena.address + slot.place;
  case Slot::Space::Input:
    return inputs[slot.place]->address;
  case Slot::Space::Values:
    return of(plan.stored[slot.place]->values->data());
  case Slot::Space::Rates:
    return of(plan.stored[slot.place]->rates);
  case Slot::Space::State:
    return of(plan.stored[slot.place]->state[slot.state]->data());
  }
  assert(false && "all spaces are covered");
  return nullptr;
}

/// Appends the launch's `cambium::Arguments` (device/cambium/Base.cuh). Where
/// it refers to a table, the place of it in `tables` stands for the address.
void cuda::Device::Impl::addArguments(const BoundPlan &plan,
                                      const Launch &launch,
                                      std::vector<void *> &tables,
                                      Prepared &prepared) {
  std::vector<char> &bytes = prepared.arguments;
  auto shared = launch.buffers.begin() + launch.sharedBuffers;
  for (auto slot = launch.buffers.begin(); slot != shared; ++slot)
    append<void *>(bytes, address(plan, *slot));
  if (launch.sharedBuffers == 0)
    append<void *>(bytes, nullptr);
  bool hasTable = shared != launch.buffers.end();
  append<void *>(bytes, hasTable ? prepared.tables.address +
                                       tables.size() * sizeof(void *)
                                 : nullptr);
  for (auto slot = shared; slot != launch.buffers.end(); ++slot)
    tables.push_back(address(plan, *slot));
  for (int64_t extent : launch.dims)
    append<int>(bytes, static_cast<int>(extent));
  if (launch.dims.empty())
    append<int>(bytes, 0);
  // The next launch's begin is as aligned as this one's.
  bytes.resize((bytes.size() + 7) / 8 * 8);
}

void cuda::Device::Impl::addGrids(const BoundPlan &bound, const Launch &launch,
                                  std::vector<void *> &tables,
                                  Prepared &prepared) {
  size_t arguments = prepared.arguments.size();
  addArguments(bound, launch, tables, prepared);
  auto &kernel = static_cast<const Kernel &>(*bound.kernels[launch.kernel]);
  const LaunchSizes &sizes = launch.sizes;
  for (int64_t round = 0; round < sizes.rounds; ++round)
    for (size_t phase = 0; phase < sizes.tasks.size(); ++phase) {
      int64_t tasks = sizes.tasks[phase];
      if (tasks == 0)
        continue;
      const LaunchSizes::Block &block = sizes.blocks[phase];
      prepared.launches.push_back(Prepared::GridLaunch{
          kernel.function(phase, block.sharedBytes),
          static_cast<unsigned>(tasks), static_cast<unsigned>(block.threads),
          static_cast<unsigned>(block.sharedBytes),
          static_cast<int>(round * tasks), arguments, &kernel.name});
    }
}

void cuda::Device::Impl::addConvolution(const BoundPlan &bound,
                                        const Launch &launch,
                                        Prepared &prepared) {
  Prepared::Convolution convolution{&bound.convolutions[launch.convolution],
                                    {}};
  assert(launch.buffers.size() == convolution.addresses.size());
  for (size_t i = 0; i < launch.buffers.size(); ++i)
    convolution.addresses[i] = deviceAddress(address(bound, launch.buffers[i]));
  prepared.launches.push_back(convolution);
}

Prepared &cuda::Device::Impl::prepare(const BoundPlan &bound) {
  if (!bound.prepared)
    bound.prepared = std::make_shared<Prepared>(context, memory);
  auto &prepared = *static_cast<Prepared *>(bound.prepared.get());
  if (prepared.generation == generation)
    return prepared;
  prepared.dropGraph();
  prepared.generation = 0;
  prepared.launches.clear();
  prepared.arguments.clear();
  size_t entries = 0;
  for (const Launch &launch : bound.plan.launches)
    entries += launch.buffers.size() - launch.sharedBuffers;
  prepared.tables.reserve(entries * sizeof(void *));
  std::vector<void *> tables;
  for (const Launch &launch : bound.plan.launches)
    if (launch.convolution < 0)
      addGrids(bound, launch, tables, prepared);
    else
      addConvolution(bound, launch, prepared);
  memory.upload(prepared.tables.address, tables.data(),
                tables.size() * sizeof(void *));
  return prepared;
}

void cuda::Device::Impl::launch(const Prepared &prepared,
                                const Prepared::GridLaunch &grid) {
  const void *parameters[] = {prepared.arguments.data() + grid.arguments,
                              &grid.firstTask};
  CUresult result = context.driver.cuLaunchKernel(
      grid.function, grid.blocks, 1, 1, grid.threads, 1, 1, grid.sharedBytes,
      context.stream, const_cast<void **>(parameters), nullptr);
  if (result != CUDA_SUCCESS)
    check(result, ("cannot launch kernel '" + *grid.kernel + "'").c_str());
}

void cuda::Device::Impl::launchAll(const Prepared &prepared,
                                   const BoundPlan &bound) {
  for (const auto &step : prepared.launches) {
    if (auto *grid = std::get_if<Prepared::GridLaunch>(&step)) {
      launch(prepared, *grid);
      continue;
    }
    const auto &convolution = std::get<Prepared::Convolution>(step);
    auto [lhs, rhs, result, workspace] = convolution.addresses;
    convolution.plan->run(lhs, rhs, result, workspace);
  }
  for (const Plan::Copy &copy : bound.plan.copies)
    memory.copy(address(bound, copy.to), address(bound, copy.from), copy.bytes);
}

CUgraphExec cuda::Device::Impl::capture(const Prepared &prepared,
                                        const BoundPlan &bound) {
  const Driver &driver = context.driver;
  const char *doing = "cannot capture the step as a CUDA graph";
  check(driver.cuStreamBeginCapture_v2(context.stream,
                                       CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        doing);
  CUgraph graph = nullptr;
  try {
    launchAll(prepared, bound);
  } catch (...) {
    driver.cuStreamEndCapture(context.stream, &graph);
    if (graph)
      driver.cuGraphDestroy(graph);
    throw;
  }
  check(driver.cuStreamEndCapture(context.stream, &graph), doing);
  CUgraphExec executable = nullptr;
  CUresult result = driver.cuGraphInstantiateWithFlags(&executable, graph, 0);
  driver.cuGraphDestroy(graph);
  check(result, doing);
  return executable;
}

cuda::Device::Device(int ordinal) : impl(std::make_unique<Impl>(ordinal)) {}
cuda::Device::~Device() = default;

std::string cuda::Device::name() const {
  char name[256] = "";
  check(impl->context.driver.cuDeviceGetName(name, sizeof(name),
                                             impl->context.device),
        "cannot ask the CUDA device for its name");
  return std::string(name) + " (" + architecture() + ")";
}

std::string cuda::Device::architecture() const {
  return architectureName(
      impl->context.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
      impl->context.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
}

size_t cuda::Device::memoryBytes() const {
  impl->context.enter();
  size_t free = 0, total = 0;
  check(impl->context.driver.cuMemGetInfo_v2(&free, &total),
        "cannot ask the CUDA device for its memory");
  return total;
}

std::shared_ptr<const KernelCode>
cuda::Device::load(const std::vector<char> &cubin, const std::string &name) {
  return std::make_shared<const Kernel>(impl->context, cubin, name);
}

Memory &cuda::Device::memory() { return impl->memory; }

void cuda::Device::reserve(const Plan &plan) { impl->reserve(plan); }

void *cuda::Device::address(const BoundPlan &plan, const Slot &slot,
                            const std::vector<const void *> &) const {
  return impl->address(plan, slot);
}

void cuda::Device::synchronize() { impl->context.synchronize(); }

CUstream cuda::Device::stream() const {
  impl->context.enter();
  return impl->context.stream;
}

void cuda::Device::run(const BoundPlan &bound,
                       const std::vector<const void *> &inputs) {
  impl->context.enter();
  impl->reserve(bound.plan);
  Prepared &prepared = impl->prepare(bound);
  for (size_t i = 0; i < inputs.size(); ++i)
    impl->memory.upload(impl->inputs[i]->address, inputs[i],
                        bound.plan.inputBytes[i]);
  bool first = prepared.generation != impl->generation;
  prepared.generation = impl->generation;
  if (first || !impl->graphs)
    return impl->launchAll(prepared, bound);
  if (!prepared.graph)
    prepared.graph = impl->capture(prepared, bound);
  check(
      impl->context.driver.cuGraphLaunch(prepared.graph, impl->context.stream),
      "cannot launch the step's CUDA graph");
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

ConvolutionLibrary cuda::Device::convolutions() const {
  impl->context.enter();
  return ConvolutionLibrary::onStream(impl->context.stream);
}

namespace {

class Event {
public:
  explicit Event(const Context &context) : context(context) {
    check(context.driver.cuEventCreate(&handle, CU_EVENT_DEFAULT),
          "cannot make a CUDA event");
  }
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  ~Event() { context.driver.cuEventDestroy_v2(handle); }

  void record() {
    check(context.driver.cuEventRecord(handle, context.stream),
          "cannot record a CUDA event");
  }
  /// Milliseconds; waits for this event.
  double since(const Event &begin) const {
    float milliseconds = 0.0f;
    check(context.driver.cuEventSynchronize(handle), "the CUDA device failed");
    check(
        context.driver.cuEventElapsedTime(&milliseconds, begin.handle, handle),
        "cannot read a CUDA event");
    return milliseconds;
  }

private:
  const Context &context;
  CUevent handle = nullptr;
};

} // namespace

double cuda::Device::time(const BoundPlan &bound) {
  assert(bound.plan.updated.empty() && bound.plan.copies.empty());
  impl->context.enter();
  impl->reserve(bound.plan);
  Prepared &prepared = impl->prepare(bound);
  prepared.generation = impl->generation;
  impl->memory.zero(impl->arena.address, bound.plan.arenaBytes);
  for (size_t i = 0; i < bound.plan.inputBytes.size(); ++i)
    impl->memory.zero(impl->inputs[i]->address, bound.plan.inputBytes[i]);
  // The first run loads code.
  impl->launchAll(prepared, bound);
  Event begin(impl->context), end(impl->context);
  std::array<double, 5> times;
  for (double &time : times) {
    begin.record();
    impl->launchAll(prepared, bound);
    end.record();
    time = end.since(begin);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2,
                   times.end());
  return times[times.size() / 2];
}
