//===- Network.cpp - Networks at the public border ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Growth.h"
#include "NetworkImpl.h"

#include "cambium/IR/Grow.h"
#include "cambium/Pipelines/Pipelines.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::internal;

/// `file:line:column` of the first place in a text that the location names.
static std::string describe(Location loc) {
  std::string text;
  loc->walk([&](Location part) {
    auto place = dyn_cast<FileLineColLoc>(part);
    if (!place || place.getLine() == 0)
      return WalkResult::advance();
    text = place.getFilename().str() + ":" + std::to_string(place.getLine()) +
           ":" + std::to_string(place.getColumn());
    return WalkResult::interrupt();
  });
  return text;
}

static cambium::Diagnostic convert(mlir::Diagnostic &diagnostic) {
  using Severity = cambium::Diagnostic::Severity;
  Severity severity = Severity::Note;
  if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
    severity = Severity::Error;
  else if (diagnostic.getSeverity() == DiagnosticSeverity::Warning)
    severity = Severity::Warning;
  else if (diagnostic.getSeverity() == DiagnosticSeverity::Remark)
    severity = Severity::Remark;
  return {severity, describe(diagnostic.getLocation()), diagnostic.str()};
}

DiagnosticCollector::DiagnosticCollector(MLIRContext *context)
    : handler(context, [this](mlir::Diagnostic &diagnostic) {
        collected.push_back(convert(diagnostic));
        for (mlir::Diagnostic &note : diagnostic.getNotes())
          collected.push_back(convert(note));
      }) {}

void DiagnosticCollector::raise(const std::string &fallback) const {
  using Severity = cambium::Diagnostic::Severity;
  std::vector<cambium::Diagnostic> errors;
  bool keepsNotes = false;
  for (const cambium::Diagnostic &diagnostic : collected) {
    if (diagnostic.severity != Severity::Note)
      keepsNotes = diagnostic.severity == Severity::Error;
    if (keepsNotes)
      errors.push_back(diagnostic);
  }
  if (errors.empty())
    throw Error(fallback);
  throw Error(std::move(errors));
}

std::vector<cambium::Diagnostic> DiagnosticCollector::remarks() const {
  std::vector<cambium::Diagnostic> remarks;
  for (const cambium::Diagnostic &diagnostic : collected)
    if (diagnostic.severity == cambium::Diagnostic::Severity::Remark &&
        llvm::none_of(remarks, [&](const cambium::Diagnostic &known) {
          return known.location == diagnostic.location &&
                 known.message == diagnostic.message;
        }))
      remarks.push_back(diagnostic);
  return remarks;
}

std::unique_ptr<MLIRContext> internal::makeContext() {
  DialectRegistry registry;
  grow::registerDialects(registry);
  auto context = std::make_unique<MLIRContext>(registry);
  // Kernels are compiled on several threads, which must not load dialects.
  context->loadAllAvailableDialects();
  context->printOpOnDiagnostic(false);
  return context;
}

std::shared_ptr<NetworkImpl> internal::parseNetwork(const std::string &text,
                                                    const std::string &name) {
  auto impl = std::make_shared<NetworkImpl>();
  impl->context = makeContext();
  DiagnosticCollector diagnostics(impl->context.get());
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, name),
                             llvm::SMLoc());
  impl->module =
      parseSourceFile<ModuleOp>(sources, ParserConfig(impl->context.get()));
  if (!impl->module)
    diagnostics.raise(name + ": not a network");
  return impl;
}

std::string internal::printModule(ModuleOp module, bool locations) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(locations);
  module->print(stream, flags);
  return text;
}

Network Network::load(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    throw Error("cannot read '" + path + "': " + buffer.getError().message());
  return parse((*buffer)->getBuffer().str(), path);
}

Network Network::parse(const std::string &text, const std::string &name) {
  return Network(parseNetwork(text, name));
}

std::string Network::text() const { return printModule(*get().module) + "\n"; }

std::vector<MapInfo> Network::maps() const {
  std::vector<MapInfo> maps;
  auto forward = ModuleOp(*get().module).lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return maps;
  forward.walk<WalkOrder::PreOrder>([&](grow::MapOp map) {
    MapInfo info{
        map.getName().str(), static_cast<int64_t>(map.getBranches()), {}};
    for (Operation &op : map.getBody().front().without_terminator())
      info.body.push_back(op.getName().stripDialect().str());
    maps.push_back(std::move(info));
  });
  return maps;
}

std::vector<GroupOptions> Network::groups() const {
  std::vector<GroupOptions> groups;
  for (auto op : ModuleOp(*get().module).getOps<grow::GroupOp>())
    groups.push_back(optionsOf(op));
  return groups;
}

std::vector<ParameterInfo> Network::parameters() const {
  std::vector<ParameterInfo> parameters;
  for (auto op : ModuleOp(*get().module).getOps<grow::ParamOp>())
    parameters.push_back({op.getSymName().str(), op.getGroup().str(),
                          op.getTensorType().getShape().vec()});
  return parameters;
}

int64_t ParameterInfo::elements() const {
  int64_t product = 1;
  for (int64_t extent : shape)
    product *= extent;
  return product;
}
