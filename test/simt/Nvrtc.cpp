//===- Nvrtc.cpp - NVRTC's interface over clang ---------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Compiles kernels for the CPU into shared objects; these are the "cubins" of
// Module. Programs of different threads are compiled in parallel.
//
//===----------------------------------------------------------------------===//

#include "Cuda.h"
#include "Files.h"

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace cambium::simt;
namespace fs = std::filesystem;

namespace {

struct Program {
  std::string source, name;
  std::map<std::string, std::string> headers;
  std::string log, cubin;
};

/// A `__global__` function that the driver can find by its name.
struct Entry {
  std::string name;
  /// Its namespaces: "a::b::".
  std::string scope;
  /// What `__launch_bounds__` says; "0" without it.
  std::string maxThreads = "0";
};

struct Options {
  std::string architecture = "75";
  std::vector<std::string> passedOn;
};

constexpr const char *intrinsics = "cambium/Intrinsics.cuh";

std::string variableOr(const char *name, const char *otherwise) {
  const char *value = std::getenv(name);
  return value && *value ? value : otherwise;
}

/// The text with comments blanked out.
std::string withoutComments(const std::string &text) {
  std::string result = text;
  for (size_t i = 0; i + 1 < result.size();) {
    bool line = result.compare(i, 2, "//") == 0;
    if (!line && result.compare(i, 2, "/*") != 0) {
      ++i;
      continue;
    }
    size_t end = line ? result.find('\n', i) : result.find("*/", i + 2);
    end = end == std::string::npos ? result.size() : end + (line ? 0 : 2);
    for (; i < end; ++i)
      result[i] = ' ';
  }
  return result;
}

size_t skipSpace(const std::string &text, size_t at) {
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
    ++at;
  return at;
}

/// Behind the bracket that closes the one at `at`.
size_t skipBrackets(const std::string &text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at)
    if (text[at] == '(')
      ++depth;
    else if (text[at] == ')' && --depth == 0)
      return at + 1;
  return at;
}

/// Reads a declaration from behind `__global__`.
Entry readEntry(const std::string &text, size_t at) {
  Entry entry;
  for (;;) {
    at = skipSpace(text, at);
    size_t begin = at;
    while (
        at < text.size() &&
        (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_'))
      ++at;
    if (at == begin)
      return {};
    std::string word = text.substr(begin, at - begin);
    at = skipSpace(text, at);
    if (at >= text.size() || text[at] != '(')
      continue;
    if (word.compare(0, 2, "__") != 0) {
      entry.name = word;
      return entry;
    }
    size_t end = skipBrackets(text, at);
    if (word == "__launch_bounds__") {
      std::string bounds = text.substr(at + 1, end - at - 2);
      entry.maxThreads = bounds.substr(0, bounds.find(','));
    }
    at = end;
  }
}

/// The namespaces that are open before `end`, each with "::".
std::string scopeAt(const std::string &text, size_t end) {
  static const std::regex opening(R"(namespace\s+([\w:]+)\s*$)");
  std::vector<std::string> scopes;
  size_t statement = 0;
  for (size_t at = text.find_first_of(";{}"); at < end;
       at = text.find_first_of(";{}", at + 1)) {
    if (text[at] == '{') {
      std::smatch match;
      std::string before = text.substr(statement, at - statement);
      bool isNamespace = std::regex_search(before, match, opening);
      scopes.push_back(isNamespace ? match[1].str() + "::" : "");
    } else if (text[at] == '}' && !scopes.empty()) {
      scopes.pop_back();
    }
    statement = at + 1;
  }
  std::string result;
  for (const std::string &scope : scopes)
    result += scope;
  return result;
}

std::vector<Entry> findEntries(const std::string &source) {
  std::vector<Entry> entries;
  std::string text = withoutComments(source);
  constexpr const char *keyword = "__global__";
  for (size_t at = text.find(keyword); at != std::string::npos;
       at = text.find(keyword, at + 1)) {
    size_t before = text.find_last_of(";{}", at);
    before = before == std::string::npos ? 0 : before;
    if (text.substr(before, at - before).find("\"C\"") == std::string::npos)
      continue;
    Entry entry = readEntry(text, at + std::strlen(keyword));
    if (entry.name.empty())
      continue;
    entry.scope = scopeAt(text, at);
    entries.push_back(entry);
  }
  return entries;
}

/// Declarations of dynamic shared memory become pointers to it.
std::string withSharedPointers(const std::string &text) {
  static const std::regex declaration(
      R"(extern\s+__shared__\s+(?:(?:__align__|alignas)\s*\([^)]*\)\s*)?)"
      R"(((?:unsigned\s+)?[\w:]+)\s+(\w+)\s*\[\s*\]\s*;)");
  std::string result;
  size_t from = 0;
  for (size_t at = text.find("extern __shared__"); at != std::string::npos;
       at = text.find("extern __shared__", from)) {
    size_t end = text.find(';', at);
    if (end == std::string::npos)
      break;
    result += text.substr(from, at - from);
    result += std::regex_replace(
        text.substr(at, end + 1 - at), declaration,
        "$1 *const $2 = static_cast<$1 *>(simtSharedMemory());");
    from = end + 1;
  }
  return result + text.substr(from);
}

/// False, with a message, if NVRTC does not know an option.
bool readOptions(int count, const char *const *options, Options &result,
                 std::string &log) {
  for (int i = 0; i < count; ++i) {
    std::string option = options[i];
    auto value = [&](const char *name) -> const char * {
      size_t length = std::strlen(name);
      return option.compare(0, length, name) == 0 ? options[i] + length
                                                  : nullptr;
    };
    const char *architecture = value("--gpu-architecture=sm_");
    if (!architecture)
      architecture = value("-arch=sm_");
    if (architecture)
      result.architecture = architecture;
    else if (value("-D") || value("-U"))
      result.passedOn.push_back(option);
    else if (const char *macro = value("--define-macro="))
      result.passedOn.push_back(std::string("-D") + macro);
    else if (const char *standard = value("--std="))
      result.passedOn.push_back(std::string("-std=") + standard);
    else if (!value("--ptxas-options=") && !value("--fmad=") &&
             !value("--extra-device-vectorization") &&
             !value("--generate-line-info") && !value("-lineinfo") &&
             !value("--maxrregcount=") && !value("--minimal") &&
             !value("--split-compile=") && !value("--diag-suppress=")) {
      log = "nvrtc: error: unrecognized option " + option + " found\n";
      return false;
    }
  }
  return true;
}

/// FNV-1a of two seeds: 128 bits.
class Key {
public:
  void add(const std::string &text) {
    for (uint64_t &hash : hashes) {
      for (unsigned char c : text)
        hash = (hash ^ c) * 0x100000001b3u;
      hash = (hash ^ text.size()) * 0x100000001b3u;
    }
  }
  std::string text() const {
    char buffer[40];
    std::snprintf(buffer, sizeof(buffer), "%016lx%016lx", hashes[0], hashes[1]);
    return buffer;
  }

private:
  uint64_t hashes[2] = {0xcbf29ce484222325u, 0x84222325cbf29ce4u};
};

/// Indices beyond arrays and misaligned accesses trap, and local variables that
/// nothing is written to are NaN. Checks of overflow would take more time than
/// all the rest.
std::vector<std::string> compileCommand(const Options &options,
                                        const std::string &compiler) {
  std::vector<std::string> command{compiler,
                                   "-x",
                                   "c++",
                                   "-std=c++17",
                                   "-c",
                                   "-O1",
                                   "-march=x86-64-v3",
                                   "-fPIC",
                                   "-fvisibility=hidden",
                                   "-nostdinc",
                                   "-fno-exceptions",
                                   "-fno-rtti",
                                   "-fno-asynchronous-unwind-tables",
                                   "-fno-strict-aliasing",
                                   "-fno-stack-protector",
                                   "-fno-math-errno",
                                   "-ftrivial-auto-var-init=pattern",
                                   "-fsanitize=alignment,bounds",
                                   "-fsanitize-trap=all",
                                   "-w",
                                   "-D__CUDACC__",
                                   "-D__CUDACC_RTC__",
                                   "-include",
                                   CAMBIUM_SIMT_DEVICE "/SimtDevice.h",
                                   "-I."};
  // sm_90a is 900 with features of its own.
  int number = std::atoi(options.architecture.c_str());
  command.push_back("-D__CUDA_ARCH__=" + std::to_string(10 * number));
  if (options.architecture == "90a")
    command.push_back("-D__CUDA_ARCH_FEAT_SM90_ALL");
  command.insert(command.end(), options.passedOn.begin(),
                 options.passedOn.end());
  std::istringstream flags(variableOr("CAMBIUM_SIMT_FLAGS", ""));
  command.insert(command.end(), std::istream_iterator<std::string>(flags), {});
  return command;
}

void build(Program &program, const Options &options) {
  std::map<std::string, std::string> texts;
  for (auto &[name, text] : program.headers)
    texts[name] = withSharedPointers(text);
  texts[intrinsics] = readFile(CAMBIUM_SIMT_DEVICE "/Intrinsics.cuh");
  std::string &main = texts["./" + program.name];
  main = withSharedPointers(program.source) + "\n#line 1 \"entries\"\n";
  for (const Entry &entry : findEntries(program.source))
    main += "SIMT_ENTRY(" + entry.name + ", " + entry.scope + entry.name +
            ", (" + entry.maxThreads + "))\n";
  main += "extern \"C\" __attribute__((visibility(\"default\"))) const int "
          "simt_architecture = " +
          std::to_string(std::atoi(options.architecture.c_str())) + ";\n";

  std::string compiler = variableOr("CAMBIUM_SIMT_CLANG", CAMBIUM_SIMT_CLANG);
  std::vector<std::string> compile = compileCommand(options, compiler);
  Key key;
  for (const std::string &argument : compile)
    key.add(argument);
  key.add(CAMBIUM_SIMT_VERSION);
  for (auto &[name, text] : texts) {
    key.add(name);
    key.add(text);
  }
  key.add(readFile(CAMBIUM_SIMT_DEVICE "/SimtDevice.h"));
  key.add(readFile(CAMBIUM_SIMT_DEVICE "/SimtCalls.h"));
  std::string cache = variableOr("CAMBIUM_SIMT_CACHE", "");
  std::string kept = cache + "/" + key.text() + ".so";
  if (!cache.empty() && fs::exists(kept)) {
    program.cubin = readFile(kept);
    return;
  }

  TemporaryFolder folder;
  for (auto &[name, text] : texts)
    writeFile(folder.path() + "/" + name, text);
  compile.insert(compile.end(), {"-o", "kernel.o", program.name});
  if (!runProgram(compile, folder.path(), program.log))
    return;
  std::string linkLog;
  if (!runProgram(
          {CAMBIUM_SIMT_LINKER, "-shared", "-s", "-o", "kernel.so", "kernel.o"},
          folder.path(), linkLog)) {
    program.log += linkLog;
    return;
  }
  program.cubin = readFile(folder.path() + "/kernel.so");
  if (cache.empty())
    return;
  // Others may read and write the cache at the same time.
  std::string temporary =
      cache + "/" + fs::path(folder.path()).filename().string() + ".tmp";
  writeFile(temporary, program.cubin);
  fs::rename(temporary, kept);
}

Program *of(void *program) { return static_cast<Program *>(program); }

} // namespace

#define SIMT_EXPORT extern "C" __attribute__((visibility("default")))

SIMT_EXPORT const char *nvrtcGetErrorString(int result) {
  switch (result) {
  case compilerSuccess:
    return "NVRTC_SUCCESS";
  case compilerInvalidInput:
    return "NVRTC_ERROR_INVALID_INPUT";
  case compilerInvalidProgram:
    return "NVRTC_ERROR_INVALID_PROGRAM";
  case compilerInvalidOption:
    return "NVRTC_ERROR_INVALID_OPTION";
  case compilerFailed:
    return "NVRTC_ERROR_COMPILATION";
  case compilerInternalError:
    return "NVRTC_ERROR_INTERNAL_ERROR";
  default:
    return "NVRTC_ERROR unknown";
  }
}

SIMT_EXPORT int nvrtcVersion(int *major, int *minor) {
  *major = 13;
  *minor = 0;
  return compilerSuccess;
}

static constexpr int supported[] = {75, 80,  86,  87,  88,  89,
                                    90, 100, 103, 110, 120, 121};

SIMT_EXPORT int nvrtcGetNumSupportedArchs(int *count) {
  *count = static_cast<int>(std::size(supported));
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcGetSupportedArchs(int *archs) {
  std::copy(std::begin(supported), std::end(supported), archs);
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcCreateProgram(void **program, const char *source,
                                   const char *name, int numHeaders,
                                   const char *const *headers,
                                   const char *const *includeNames) {
  if (!program || !source)
    return compilerInvalidInput;
  auto *created = new Program;
  created->source = source;
  created->name = name ? fs::path(name).filename().string() : "default_program";
  for (int i = 0; i < numHeaders; ++i)
    created->headers[includeNames[i]] = headers[i];
  *program = created;
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcDestroyProgram(void **program) {
  if (!program || !*program)
    return compilerInvalidProgram;
  delete of(*program);
  *program = nullptr;
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcCompileProgram(void *program, int numOptions,
                                    const char *const *options) {
  if (!program)
    return compilerInvalidProgram;
  Program &compiled = *of(program);
  compiled.log.clear();
  compiled.cubin.clear();
  Options read;
  if (!readOptions(numOptions, options, read, compiled.log))
    return compilerInvalidOption;
  try {
    build(compiled, read);
  } catch (const std::exception &error) {
    compiled.log = error.what();
    return compilerInternalError;
  }
  return compiled.cubin.empty() ? compilerFailed : compilerSuccess;
}

SIMT_EXPORT int nvrtcGetCUBINSize(void *program, size_t *bytes) {
  if (!program)
    return compilerInvalidProgram;
  *bytes = of(program)->cubin.size();
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcGetCUBIN(void *program, char *cubin) {
  if (!program || of(program)->cubin.empty())
    return compilerInvalidProgram;
  std::memcpy(cubin, of(program)->cubin.data(), of(program)->cubin.size());
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcGetProgramLogSize(void *program, size_t *bytes) {
  if (!program)
    return compilerInvalidProgram;
  *bytes = of(program)->log.size() + 1;
  return compilerSuccess;
}

SIMT_EXPORT int nvrtcGetProgramLog(void *program, char *log) {
  if (!program)
    return compilerInvalidProgram;
  std::memcpy(log, of(program)->log.c_str(), of(program)->log.size() + 1);
  return compilerSuccess;
}
