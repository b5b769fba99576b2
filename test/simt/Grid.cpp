//===- Grid.cpp - Kernels on fibres ---------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Grid.h"
#include "Cuda.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sys/mman.h>
#include <ucontext.h>

using namespace cambium::simt;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

#ifndef __x86_64__
#error "faults in kernels are caught on x86-64 only"
#endif

/// The grid that runs; the device's lock lets only one run at a time.
static Grid *active = nullptr;

namespace cambium::simt {

/// What kernels call.
struct DeviceCalls {
  static Fiber &fiber() { return *active->current; }

  static void barrier(int id, int threads, Place place) {
    active->waitAtBarrier(fiber(), id, threads, place);
  }
  static void warp(int operation, unsigned mask, void *operands, Place place) {
    active->waitForWarp(fiber(), operation, mask, operands, place);
  }
  static void copyAsync(void *to, const void *from, int bytes,
                        int sourceBytes) {
    active->startCopy(fiber(),
                      {static_cast<char *>(to), static_cast<const char *>(from),
                       bytes, sourceBytes, fiber().committed});
  }
  static void commitCopies() { ++fiber().committed; }
  static void waitCopies(int pending) {
    int committed = fiber().committed;
    active->finishCopies(fiber(),
                         pending < 0 ? committed + 1 : committed - pending);
  }
  static void yield() {
    active->makeRunnable(fiber());
    active->turn = (active->turn + 1) % active->warpOrder.size();
    active->switchAway(fiber());
  }
  static unsigned sharedOffset(const void *pointer) {
    if (!active->inShared(pointer, 0))
      active->fail(errorInvalidAddressSpace,
                   "takes an address outside shared memory for a shared one");
    return static_cast<unsigned>(static_cast<const char *>(pointer) -
                                 active->shared.begin());
  }
  static void trap(const char *message) { active->fail(errorAssert, message); }

  static void refuse(std::string wrong) {
    if (!wrong.empty())
      active->fail(errorIllegalInstruction, std::move(wrong));
  }
  static void fenceShared() { active->async.fence(fiber().index); }
  static void prepareArrivals(void *barrier) {
    refuse(active->async.prepareArrivals(fiber().index,
                                         static_cast<char *>(barrier)));
  }
  static void expectArrival(void *barrier, int bytes) {
    refuse(active->async.expectArrival(fiber().index,
                                       static_cast<char *>(barrier), bytes));
  }
  static void copyBulk(void *to, const void *from, int bytes, void *barrier) {
    refuse(active->async.copy(fiber().index, static_cast<char *>(to),
                              static_cast<const char *>(from), bytes,
                              static_cast<char *>(barrier)));
  }
  static void waitArrival(void *barrier, int parity) {
    // More turns than any thread can need to get to what it waits for.
    constexpr int mostTurns = 1 << 16;
    for (int turns = 0;; ++turns) {
      bool ended = false;
      refuse(active->async.hasEnded(fiber().index, static_cast<char *>(barrier),
                                    parity, ended));
      if (ended)
        return;
      if (turns == mostTurns)
        active->fail(errorLaunchTimeout,
                     "waits for copies that nobody has begun");
      yield();
    }
  }
};

/// Takes the signals of faults while a grid runs.
class SignalGuard {
public:
  explicit SignalGuard(std::vector<char> &stack) {
    stack_t alternate{};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    sigaltstack(&alternate, &oldStack);
    struct sigaction action{};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < numSignals; ++i)
      sigaction(numbers[i], &action, &previous[i]);
  }
  SignalGuard(const SignalGuard &) = delete;
  SignalGuard &operator=(const SignalGuard &) = delete;
  ~SignalGuard() {
    for (int i = 0; i < numSignals; ++i)
      sigaction(numbers[i], &previous[i], nullptr);
    sigaltstack(&oldStack, nullptr);
  }

private:
  static constexpr int numSignals = 4;
  static constexpr int numbers[numSignals] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  static struct sigaction previous[numSignals];

  static void handle(int number, siginfo_t *info, void *context);

  stack_t oldStack{};
};

struct sigaction SignalGuard::previous[SignalGuard::numSignals];

static constexpr int misalignedTrap = 22;

/// The check of -fsanitize-trap that has failed, a SanitizerHandler of clang's:
/// `ud1l check(%eax), %eax`.
static int trapAt(const unsigned char *code) {
  if (code[0] != 0x67 || code[1] != 0x0f || code[2] != 0xb9)
    return -1;
  return code[3] == 0x40 ? code[4] : code[3] == 0 ? 0 : -1;
}

/// Leaves the fibre's code for Grid::afterSignal. A fault of other code is
/// given to who took the signal before: it happens again on return.
void SignalGuard::handle(int number, siginfo_t *info, void *context) {
  greg_t *registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
  auto stack = reinterpret_cast<char *>(registers[REG_RSP]);
  if (!active || stack < active->stacks ||
      stack >= active->stacks + Grid::maxThreads * stackBytes) {
    for (int i = 0; i < numSignals; ++i)
      if (numbers[i] == number)
        sigaction(number, &previous[i], nullptr);
    return;
  }
  auto code = reinterpret_cast<const unsigned char *>(registers[REG_RIP]);
  active->signal = {number, static_cast<const char *>(info->si_addr),
                    (registers[REG_ERR] & 2) != 0,
                    number == SIGILL ? trapAt(code) : -1};
  // A general protection fault: what a vector instruction does.
  if (number == SIGSEGV && info->si_code == SI_KERNEL)
    active->signal = {SIGILL, nullptr, false, misalignedTrap};
  registers[REG_RIP] = reinterpret_cast<greg_t>(&Grid::afterSignal);
  // As after a call: 8 bytes below a multiple of 16.
  registers[REG_RSP] = reinterpret_cast<greg_t>(active->current->thread) - 8;
  constexpr greg_t directionFlag = 0x400;
  registers[REG_EFL] &= ~directionFlag;
}

} // namespace cambium::simt

const SimtCalls cambium::simt::deviceCalls{
    DeviceCalls::barrier,       DeviceCalls::warp,
    DeviceCalls::copyAsync,     DeviceCalls::commitCopies,
    DeviceCalls::waitCopies,    DeviceCalls::yield,
    DeviceCalls::sharedOffset,  DeviceCalls::trap,
    DeviceCalls::fenceShared,   DeviceCalls::prepareArrivals,
    DeviceCalls::expectArrival, DeviceCalls::copyBulk,
    DeviceCalls::waitArrival};

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

Grid::Grid(DeviceMemory &memory)
    : memory(memory), shared(maxSharedBytes, sharedAlignment),
      async(shared, memory), signalStack(1 << 16), fibers(maxThreads) {
  // One more, so that stacks can be aligned to their size.
  mappingBytes = (maxThreads + 1) * stackBytes;
  void *address = mmap(nullptr, mappingBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    throw std::bad_alloc();
  mapping = static_cast<char *>(address);
  auto begin = reinterpret_cast<uintptr_t>(mapping);
  stacks = mapping + (stackBytes - begin % stackBytes) % stackBytes;
  constexpr size_t guardBytes = 4096;
  for (unsigned i = 0; i < maxThreads; ++i) {
    mprotect(stacks + i * stackBytes, guardBytes, PROT_NONE);
    fibers[i].index = i;
    fibers[i].thread = reinterpret_cast<SimtThread *>(
        stacks + (i + 1) * stackBytes - threadBytes);
  }
}

Grid::~Grid() { munmap(mapping, mappingBytes); }

Fault Grid::run(const Launch &toLaunch) {
  launch = &toLaunch;
  fault = Fault();
  const SimtIndex &size = launch->gridSize, &block = launch->blockSize;
  numThreads = block.x * block.y * block.z;
  const char *seed = std::getenv("CAMBIUM_SIMT_SEED");
  random = Random((seed ? std::strtoull(seed, nullptr, 10) : 0) +
                  std::hash<std::string>()(launch->name) + ++launches);
  std::vector<unsigned> blocks(size.x * size.y * size.z);
  for (unsigned i = 0; i < blocks.size(); ++i)
    blocks[i] = i;
  random.shuffle(blocks);

  SignalGuard signals(signalStack);
  active = this;
  for (unsigned i : blocks) {
    runBlock({i % size.x, i / size.x % size.y, i / size.x / size.y});
    if (fault)
      break;
  }
  active = nullptr;
  if (!fault)
    if (std::string stray = memory.strayWrite(); !stray.empty())
      setFault(nullptr, errorIllegalAddress, stray);
  launch = nullptr;
  return fault;
}

void Grid::runBlock(SimtIndex block) {
  shared.resize(launch->sharedBytes);
  async.beginBlock(numThreads);
  unsigned warps = (numThreads + 31) / 32;
  runnable.assign(warps, 0);
  waitingLanes.assign(warps, 0);
  warpOrder.resize(warps);
  for (unsigned i = 0; i < warps; ++i)
    warpOrder[i] = i;
  numExited = 0;
  std::fill(std::begin(barriers), std::end(barriers), Barrier());
  for (unsigned i = 0; i < numThreads; ++i)
    startThread(i, block);
  random.shuffle(warpOrder);
  turn = 0;
  jumpTo(host, *pickNext());
  if (fault)
    return;
  if (std::string wrong = async.endBlock(); !wrong.empty())
    setFault(nullptr, errorIllegalInstruction, wrong);
  if (std::ptrdiff_t offset = shared.strayWrite())
    setFault(nullptr, errorIllegalAddress,
             "byte " + std::to_string(offset) + " of " +
                 std::to_string(shared.size()) +
                 " bytes of shared memory was written to");
}

void Grid::startThread(unsigned index, SimtIndex block) {
  const SimtIndex &size = launch->blockSize;
  Fiber &fiber = fibers[index];
  *fiber.thread = {
      shared.begin(),
      {index % size.x, index / size.x % size.y, index / size.x / size.y},
      block,
      size,
      launch->gridSize};
  fiber.context =
      make_fcontext(fiber.thread, stackBytes - 2 * threadBytes, threadMain);
  fiber.copies.clear();
  fiber.committed = 0;
  makeRunnable(fiber);
}

void Grid::threadMain(transfer_t from) {
  static_cast<Fiber *>(from.data)->context = from.fctx;
  Grid &grid = *active;
  Fiber &self = *grid.current;
  grid.launch->entry->run(grid.launch->params);
  self.state = Fiber::State::Exited;
  ++grid.numExited;
  grid.switchAway(self);
}

//===----------------------------------------------------------------------===//
// Turns
//===----------------------------------------------------------------------===//

void Grid::jumpTo(Fiber &from, Fiber &to) {
  current = &to;
  transfer_t back = jump_fcontext(to.context, &from);
  static_cast<Fiber *>(back.data)->context = back.fctx;
}

/// A warp goes on until all its threads wait, so that warps get as far apart as
/// barriers let them.
Fiber *Grid::pickNext() {
  for (size_t i = 0; i < warpOrder.size(); ++i) {
    unsigned warp = warpOrder[turn];
    if (unsigned lanes = runnable[warp]) {
      unsigned first = random.next() % 32;
      unsigned rotated = lanes >> first | lanes << (32 - first) % 32;
      unsigned lane = (first + __builtin_ctz(rotated)) % 32;
      runnable[warp] &= ~(1u << lane);
      return &fibers[32 * warp + lane];
    }
    turn = (turn + 1) % warpOrder.size();
  }
  return nullptr;
}

void Grid::switchAway(Fiber &from) {
  Fiber *next = pickNext();
  if (!next && numExited != numThreads)
    describeDeadlock();
  if (!next)
    next = &host;
  if (next != &from)
    jumpTo(from, *next);
}

void Grid::makeRunnable(Fiber &fiber) {
  fiber.state = Fiber::State::Runnable;
  runnable[fiber.warp()] |= 1u << fiber.lane();
}

static std::string nameOf(const Place &place) {
  const char *slash = std::strrchr(place.file, '/');
  return std::string(slash ? slash + 1 : place.file) + ":" +
         std::to_string(place.line);
}

static bool samePlace(const Place &a, const Place &b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

void Grid::describeDeadlock() {
  std::string text = "threads wait for others that do not come:";
  unsigned shown[4] = {};
  for (unsigned i = 0; i < numThreads; ++i) {
    const Fiber &fiber = fibers[i];
    if (shown[static_cast<int>(fiber.state)]++)
      continue;
    text += " thread " + std::to_string(i);
    if (fiber.state == Fiber::State::Exited)
      text += " has ended;";
    else if (fiber.state == Fiber::State::AtBarrier)
      text += " waits at barrier " + std::to_string(fiber.barrier) + " (" +
              nameOf(fiber.place) + ");";
    else
      text += " waits for its warp (" + nameOf(fiber.place) + ");";
  }
  setFault(nullptr, errorLaunchTimeout, text);
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

void Grid::setFault(const Fiber *fiber, int code, const std::string &what) {
  std::string where = "kernel '" + launch->name + "'";
  if (fiber) {
    const SimtIndex &block = fiber->thread->block, &size = launch->gridSize;
    where += ", block " +
             std::to_string(block.x + size.x * (block.y + size.y * block.z)) +
             ", thread " + std::to_string(fiber->index);
  }
  fault = {code, where + ": " + what};
}

void Grid::fail(int code, std::string what) {
  setFault(current, code, what);
  std::string().swap(what);
  jumpTo(*current, host);
  __builtin_unreachable();
}

using cambium::simt::misalignedTrap;

static const char *trapName(int trap) {
  constexpr int outOfBounds = 18;
  if (trap == outOfBounds)
    return "indexes beyond an array in registers";
  if (trap == misalignedTrap)
    return "accesses a misaligned address";
  return "does what C++ does not define";
}

std::string Grid::describe(const char *address) const {
  if (shared.isNear(address))
    return "byte " + std::to_string(address - shared.begin()) + " of " +
           std::to_string(shared.size()) + " bytes of shared memory";
  std::string place = memory.describe(address);
  if (!place.empty())
    return place;
  char text[32];
  std::snprintf(text, sizeof(text), "%p", static_cast<const void *>(address));
  return std::string("address ") + text + ", where nothing is";
}

std::string Grid::describeSignal() const {
  if (signal.number == SIGILL || signal.number == SIGFPE)
    return signal.number == SIGFPE ? "divides by zero" : trapName(signal.trap);
  auto stack = reinterpret_cast<const char *>(current->thread + 1);
  if (signal.address < stack && signal.address >= stack - stackBytes)
    return "takes more than its stack";
  return (signal.write ? "writes " : "reads ") + describe(signal.address);
}

void Grid::afterSignal() {
  int code = errorIllegalAddress;
  if (active->signal.number == SIGILL || active->signal.number == SIGFPE)
    code = active->signal.trap == misalignedTrap ? errorMisalignedAddress
                                                 : errorIllegalInstruction;
  active->fail(code, active->describeSignal());
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

void Grid::waitAtBarrier(Fiber &fiber, int id, int threads, Place place) {
  if (id < 0 || id >= 16 || threads < 0 || threads % 32)
    fail(errorIllegalInstruction, "there is no such barrier");
  Barrier &barrier = barriers[id];
  unsigned expected = threads ? static_cast<unsigned>(threads) : numThreads;
  if (!barrier.arrived) {
    barrier.expected = expected;
    barrier.place = place;
  } else if (barrier.expected != expected ||
             (!threads && !samePlace(barrier.place, place))) {
    fail(errorIllegalInstruction,
         "is at barrier " + std::to_string(id) + " (" + nameOf(place) +
             ") while others wait at it in " + nameOf(barrier.place));
  }
  fiber.state = Fiber::State::AtBarrier;
  fiber.barrier = id;
  fiber.place = place;
  if (++barrier.arrived == barrier.expected)
    releaseBarrier(id);
  switchAway(fiber);
}

void Grid::releaseBarrier(int id) {
  barriers[id].arrived = 0;
  if (barriers[id].expected == numThreads)
    async.meet();
  for (unsigned i = 0; i < numThreads; ++i)
    if (fibers[i].state == Fiber::State::AtBarrier && fibers[i].barrier == id)
      makeRunnable(fibers[i]);
  random.shuffle(warpOrder);
  turn = 0;
}

void Grid::waitForWarp(Fiber &fiber, int operation, unsigned mask,
                       void *operands, Place place) {
  if (!(mask >> fiber.lane() & 1))
    fail(errorIllegalInstruction,
         "is not in the mask of its warp (" + nameOf(place) + ")");
  fiber.state = Fiber::State::AtWarp;
  fiber.operation = operation;
  fiber.mask = mask;
  fiber.operands = operands;
  fiber.place = place;

  unsigned &waiting = waitingLanes[fiber.warp()];
  waiting |= 1u << fiber.lane();
  if ((waiting & mask) == mask) {
    Fiber *lanes = &fibers[32 * fiber.warp()];
    for (unsigned rest = mask; rest; rest &= rest - 1) {
      Fiber &other = lanes[__builtin_ctz(rest)];
      if (other.mask != mask || other.operation != operation)
        fail(errorIllegalInstruction,
             "does not do the same as its warp: it is in " + nameOf(place) +
                 ", lane " + std::to_string(other.lane()) + " in " +
                 nameOf(other.place));
      other.state = Fiber::State::Runnable;
    }
    std::string wrong = operate(operation, fiber.warp(), mask);
    if (!wrong.empty())
      fail(errorIllegalAddress, std::move(wrong));
    waiting &= ~mask;
    runnable[fiber.warp()] |= mask;
  }
  switchAway(fiber);
}

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

bool Grid::inShared(const void *address, size_t bytes) const {
  auto byte = static_cast<const char *>(address);
  return byte >= shared.begin() && byte <= shared.end() &&
         bytes <= static_cast<size_t>(shared.end() - byte);
}

/// Until the copy has arrived, what is at its place is as good as random.
void Grid::startCopy(Fiber &fiber, const AsyncCopy &copy) {
  int bytes = copy.bytes;
  if ((bytes != 4 && bytes != 8 && bytes != 16) || copy.sourceBytes < 0 ||
      copy.sourceBytes > bytes)
    fail(errorIllegalInstruction, "copies " + std::to_string(copy.sourceBytes) +
                                      " of " + std::to_string(bytes) +
                                      " bytes asynchronously");
  if (reinterpret_cast<uintptr_t>(copy.shared) % bytes ||
      reinterpret_cast<uintptr_t>(copy.source) % bytes)
    fail(errorMisalignedAddress, "copies from or to a misaligned address");
  if (!inShared(copy.shared, bytes) || inShared(copy.source, 0))
    fail(errorIllegalAddress,
         "copies asynchronously, but not from global to shared memory");
  if (copy.sourceBytes && !memory.contains(copy.source, copy.sourceBytes))
    fail(errorIllegalAddress, "copies what begins at " + describe(copy.source));
  std::memset(copy.shared, poison, bytes);
  fiber.copies.push_back(copy);
}

void Grid::finishCopies(Fiber &fiber, int upToGroup) {
  auto pending = std::partition_point(
      fiber.copies.begin(), fiber.copies.end(),
      [=](const AsyncCopy &copy) { return copy.group < upToGroup; });
  for (auto copy = fiber.copies.begin(); copy != pending; ++copy) {
    std::memcpy(copy->shared, copy->source, copy->sourceBytes);
    std::memset(copy->shared + copy->sourceBytes, 0,
                copy->bytes - copy->sourceBytes);
  }
  fiber.copies.erase(fiber.copies.begin(), pending);
}
