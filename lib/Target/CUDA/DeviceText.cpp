//===- DeviceText.cpp - Pieces of the text of kernels ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"

#include <cmath>
#include <cstdlib>

using namespace mlir;

namespace cambium::grow {

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::string literal(double value) {
  if (std::isnan(value))
    return "__longlong_as_double(0x7ff8000000000000ll)";
  if (std::isinf(value))
    return std::string(value < 0 ? "-" : "") +
           "__longlong_as_double(0x7ff0000000000000ll)";
  std::string text;
  for (int digits = 1; digits <= 17; ++digits) {
    text.clear();
    llvm::raw_string_ostream(text) << llvm::format("%.*g", digits, value);
    if (std::strtod(text.c_str(), nullptr) == value)
      break;
  }
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text;
}

std::string floatLiteral(double value) {
  if (!std::isfinite(static_cast<float>(value)))
    return "static_cast<float>(" + literal(value) + ")";
  return literal(value) + "f";
}

std::string bufferText(int64_t buffer, StringRef type) {
  if (buffer < 0)
    return "nullptr";
  return ("buffer<" + type + ">(args, " + Twine(buffer) + ")").str();
}

std::string aggregate(StringRef type, StringRef name, Fields fields) {
  std::string text = ("const " + type + " " + name + " = {").str();
  StringRef separator = "\n    ";
  for (const auto &[field, value] : fields) {
    text += (separator + "/*" + field + "=*/" + value).str();
    separator = ",\n    ";
  }
  return text + "};\n";
}

std::string callText(StringRef function, ArrayRef<std::string> arguments) {
  constexpr size_t width = 76;
  std::string text = function.str() + "(";
  const size_t indent = text.size();
  size_t column = indent;
  for (auto [i, argument] : llvm::enumerate(arguments)) {
    bool last = i + 1 == arguments.size();
    if (i > 0 && column + argument.size() + 2 > width) {
      text.back() = '\n';
      text.append(indent, ' ');
      column = indent;
    }
    text += argument + (last ? ")" : ", ");
    column += argument.size() + 2;
  }
  return text;
}

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

int64_t ExtentText::rank(int64_t buffer) const {
  return signature.tensors[buffer].getRank();
}

std::string ExtentText::extent(int64_t buffer, int64_t dim) const {
  return "args.dims[" + std::to_string(signature.firstDims[buffer] + dim) + "]";
}

std::string ExtentText::channels(int64_t buffer) const {
  return rank(buffer) == 0 ? "1" : extent(buffer, rank(buffer) - 1);
}

std::string ExtentText::product(int64_t buffer, int64_t first,
                                int64_t count) const {
  return "product<" + std::to_string(signature.firstDims[buffer] + first) +
         ", " + std::to_string(count) + ">(args)";
}

std::string ExtentText::rows(int64_t buffer) const {
  return product(buffer, 0, std::max<int64_t>(rank(buffer) - 1, 0));
}

std::string ExtentText::elements(int64_t buffer) const {
  return product(buffer, 0, rank(buffer));
}

std::string ExtentText::image(int64_t buffer) const {
  return "{" + extent(buffer, 1) + ", " + extent(buffer, 2) + ", " +
         extent(buffer, 3) + "}";
}

std::string ExtentText::wide(int64_t buffer) const {
  return channels(buffer) + " % 4 == 0";
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

void addPhase(LaunchSizes &sizes, int64_t tasks, int threads,
              int64_t sharedBytes) {
  sizes.tasks.push_back(tasks);
  sizes.blocks.push_back({threads, sharedBytes});
}

LaunchSizes elementLaunch(int64_t elements) {
  LaunchSizes sizes;
  addPhase(sizes, ceilDiv(elements, flatElements), flatThreads);
  return sizes;
}

void flatPhase(CudaEmission &e, StringRef comment, const Twine &lines,
               StringRef work, const Twine &elements, StringRef wide,
               int minBlocks) {
  e.phase(comment, flatThreads,
          lines +
              callText("forElements", {work.str(), elements.str(),
                                       ("/*wide=*/" + wide).str(), "task"}) +
              ";",
          minBlocks);
}

} // namespace cambium::grow
