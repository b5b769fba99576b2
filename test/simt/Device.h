//===- Device.h - Streams, graphs and modules of the device -- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Work in a stream is not done before somebody waits for it: who does not wait
// sees that nothing has happened.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_DEVICE_H
#define CAMBIUM_TEST_SIMT_DEVICE_H

#include "Cuda.h"
#include "Grid.h"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cambium::simt {

/// Something that is done in a stream.
using Operation = std::function<void()>;

struct Graph {
  std::vector<Operation> operations;
};

struct Stream {
  /// Waits for the null stream and is waited for by it.
  bool blocking = true;
  std::deque<Operation> queue;
  /// Null unless the stream is being captured.
  std::unique_ptr<Graph> capture;
  bool captureInvalid = false;
};

struct Event {
  using Clock = std::chrono::steady_clock;
  struct Record {
    bool done = false;
    Clock::time_point time;
  };
  bool timed = true;
  Stream *stream = nullptr;
  /// Of the last cuEventRecord.
  std::shared_ptr<Record> record;
};

struct GraphExec {
  std::shared_ptr<const std::vector<Operation>> operations;
};

struct Function {
  std::string name;
  const SimtEntry *entry;
  int maxSharedBytes = 48 * 1024;
};

/// A shared object that the shim's NVRTC has made.
class Module {
public:
  Module() = default;
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  ~Module();

  /// Architecture as in sm_<number>. `why` says what is wrong with the image.
  Error load(const void *image, int deviceArchitecture, std::string &why);
  Function *find(const std::string &name);

private:
  void *handle = nullptr;
  std::map<std::string, Function> functions;
};

class Device {
public:
  static Device &get();

  /// 80 for sm_80; CAMBIUM_SIMT_ARCH.
  int architecture() const;
  /// False if there is no such attribute.
  bool attribute(int which, int &value) const;

  /// The error of the context, which nothing but a new context mends.
  const Fault &fault() const { return sticky; }

  void enqueue(Stream &stream, Operation operation);
  /// Does all that is in the stream.
  void finish(Stream &stream);
  /// Does what is in the stream until `done` is set.
  void finishUntil(Stream &stream, const bool &done);
  /// Does all that is in any stream, in any order that streams allow.
  void finishAll();
  void launch(const Function &function, SimtIndex gridSize, SimtIndex blockSize,
              unsigned sharedBytes, void *const *params, Stream &stream);
  /// Of the null stream too.
  bool isStream(const Stream *stream) const;
  bool capturing() const;
  /// Destroys all that the context has.
  void reset();

  std::mutex lock;
  bool initialized = false;
  int contextUsers = 0;
  DeviceMemory memory;
  Stream nullStream;
  std::map<Stream *, std::unique_ptr<Stream>> streams;
  std::map<Event *, std::unique_ptr<Event>> events;
  std::map<Graph *, std::unique_ptr<Graph>> graphs;
  std::map<GraphExec *, std::unique_ptr<GraphExec>> executables;
  std::map<Module *, std::unique_ptr<Module>> modules;

private:
  Device() : grid(memory) {}
  void doNext(Stream &stream);

  Grid grid;
  Fault sticky;
  Random random{1};
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_DEVICE_H
