//===- Export.h - Networks for inference ------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_API_EXPORT_H
#define CAMBIUM_LIB_API_EXPORT_H

#include "cambium/API/DeviceProgram.h"
#include "cambium/Pipelines/Pipelines.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>

namespace cambium::internal {

/// A network of @forward alone, and its values.
struct InferenceNetwork {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<ParameterStore> store;
};

/// Collapses branches of the network's @forward for good: what it computes of
/// parameters alone becomes a parameter, with the values that the device
/// computes. Layers are in inference mode. Fails with a diagnostic.
mlir::FailureOr<InferenceNetwork>
makeInferenceNetwork(mlir::ModuleOp network, const ParameterStore &store,
                     const grow::PipelineOptions &options, KernelCache &cache,
                     Device &device);

} // namespace cambium::internal

#endif // CAMBIUM_LIB_API_EXPORT_H
