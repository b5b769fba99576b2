//===- Interrupt.h - Ctrl-C between steps -----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_INTERRUPT_H
#define CAMBIUM_TRAIN_INTERRUPT_H

namespace cambium::train {

/// From here on the first Ctrl-C (or SIGTERM) is only noted, so that the run
/// can finish its step and write its report; the second one ends the process.
void noteInterrupts();

/// The signal noted so far, or 0.
int notedSignal();

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_INTERRUPT_H
