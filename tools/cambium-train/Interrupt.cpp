//===- Interrupt.cpp - Ctrl-C between steps -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Interrupt.h"

#include <csignal>

namespace cambium::train {
namespace {

volatile std::sig_atomic_t noted = 0;

void note(int signal) { noted = signal; }

} // namespace

void noteInterrupts() {
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int notedSignal() { return noted; }

} // namespace cambium::train
