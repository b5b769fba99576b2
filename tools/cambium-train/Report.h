//===- Report.h - The report of a run ---------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_REPORT_H
#define CAMBIUM_TRAIN_REPORT_H

#include "History.h"

#include <string>

namespace cambium::train {

/// `result: accuracy=… growths=… train_seconds=… report=…`, for scripts.
std::string resultLine(const History &history, const std::string &reportPath);

/// A page that stands alone: its charts are inline SVG and it loads nothing.
std::string renderReport(const History &history, const std::string &resultLine);

/// Writes report.html and history.json into the folder, which is made if need
/// be; returns the path of the page. Throws cambium::Error.
std::string writeReport(const History &history, const std::string &folder);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_REPORT_H
