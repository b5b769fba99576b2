//===- EmitPooling.cpp - Pooling and its gradients ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// Windows of at most this many elements are unrolled.
constexpr int64_t unrolledTaps = 16;
/// Channels of a task that owns them in a whole image.
constexpr int64_t channelBlock = 32;

struct Window {
  template <typename Op> explicit Window(Op op) {
    auto [top, left, bottom, right] = expandPadding(op.getPadding());
    rows = {op.getWindow()[0], op.getStrides()[0], top, bottom};
    columns = {op.getWindow()[1], op.getStrides()[1], left, right};
  }

  struct Side {
    int64_t size, stride, low, high;
  };
  Side rows, columns;
};

/// An image tensor in the kernel.
struct Image {
  Image(KernelEmission &e, int64_t buffer)
      : base(e.buffers[buffer]), height(e.extents.shapes[buffer][1]),
        width(e.extents.shapes[buffer][2]),
        channels(e.extents.shapes[buffer][3]) {}

  /// Offset of a pixel's first channel.
  I64 pixel(I64 image, I64 row, I64 column) const {
    return ((image * height + row) * width + column) * channels;
  }

  Value base;
  I64 height, width, channels;
};

/// True if windows neither overlap nor reach into padding. Every element of the
/// input is then in one window at most.
bool areDisjoint(const Window &window) {
  auto is = [](const Window::Side &side) {
    return side.stride >= side.size && side.low == 0 && side.high == 0;
  };
  return is(window.rows) && is(window.columns) &&
         window.rows.size * window.columns.size <= unrolledTaps;
}

/// Offsets of a window's elements, of its first channel, in row-major order.
SmallVector<I64> tapsOf(const Window &window, const Image &input, I64 image,
                        I64 outRow, I64 outColumn) {
  SmallVector<I64> taps;
  for (int64_t row = 0; row < window.rows.size; ++row)
    for (int64_t column = 0; column < window.columns.size; ++column)
      taps.push_back(input.pixel(image, outRow * window.rows.stride + row,
                                 outColumn * window.columns.stride + column));
  return taps;
}

/// Gradients of disjoint windows: a task fills the rows of the input from one
/// row of windows up to the next. `share` gives the gradient of each tap.
class DisjointGradient {
public:
  using Share =
      function_ref<Values(ArrayRef<I64> taps, I64 output, Value mask)>;

  DisjointGradient(KernelEmission &e, const Window &window, const Image &input,
                   const Image &output)
      : e(e), window(window), input(input), output(output) {}

  static LaunchSizes launch(const HostExtents &extents, int64_t output) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[output][0] * extents.shapes[output][1]};
    return sizes;
  }

  void emit(I64 task, Share share) {
    I64 image = task / output.height, row = task % output.height;
    I64 begin = row * window.rows.stride;
    I64 end = selectLess(row + 1, output.height, begin + window.rows.stride,
                         input.height);
    // What lies between windows and behind the last.
    bool gaps = window.rows.stride > window.rows.size ||
                window.columns.stride > window.columns.size;
    if (gaps)
      clear(image, begin, end, 0, input.width);
    else
      clear(image, begin, begin + window.rows.size,
            output.width * window.columns.stride, input.width);
    if (!gaps)
      clear(image, begin + window.rows.size, end, 0, input.width);
    e.k.loop(0, output.width, [&](I64 column) {
      SmallVector<I64> first = tapsOf(window, input, image, row, column);
      I64 from = output.pixel(image, row, column);
      e.forVectors(0, output.channels, [&](I64 channel, Value mask) {
        SmallVector<I64> taps;
        for (I64 tap : first)
          taps.push_back(tap + channel);
        for (auto [tap, value] :
             llvm::zip(taps, share(taps, from + channel, mask)))
          e.k.store(value, input.base, tap, mask);
      });
    });
  }

private:
  void clear(I64 image, I64 beginRow, I64 endRow, I64 beginColumn,
             I64 endColumn) {
    e.k.loop(beginRow, endRow, [&](I64 row) {
      I64 begin = input.pixel(image, row, beginColumn);
      e.forVectors(begin, begin + (endColumn - beginColumn) * input.channels,
                   [&](I64 offset, Value mask) {
                     e.k.store(e.k.zeroVector(), input.base, offset, mask);
                   });
    });
  }

  KernelEmission &e;
  const Window &window;
  /// `input` is the gradient's.
  const Image &input, &output;
};

//===----------------------------------------------------------------------===//
// Max pooling
//===----------------------------------------------------------------------===//

/// Visits the elements of windows in row-major order. Places in the padding are
/// moved to the nearest element: it is in the window too, since padding is
/// smaller than the window, and seeing it twice changes no maximum.
class MaxWindows {
public:
  MaxWindows(KernelEmission &e, const Window &window, const Image &input,
             I64 image)
      : e(e), window(window), input(input), image(image) {}

  using Visitor = function_ref<Values(I64 tap, I64 pixel, ValueRange carried)>;

  Values visit(I64 outRow, I64 outColumn, Values initial, Visitor visitor) {
    int64_t height = window.rows.size, width = window.columns.size;
    auto visitTap = [&](I64 row, I64 column, ValueRange carried) {
      I64 pixel =
          input.pixel(image, inside(window.rows, outRow, row, input.height),
                      inside(window.columns, outColumn, column, input.width));
      return visitor(row * width + column, pixel, carried);
    };
    if (height * width <= unrolledTaps) {
      Values carried = initial;
      for (int64_t row = 0; row < height; ++row)
        for (int64_t column = 0; column < width; ++column)
          carried = visitTap(row, column, carried);
      return carried;
    }
    return e.k.loop(0, height, initial, [&](I64 row, ValueRange carried) {
      return e.k.loop(0, width, carried, [&](I64 column, ValueRange inner) {
        return visitTap(row, column, inner);
      });
    });
  }

  I64 first(I64 outRow, I64 outColumn) {
    return input.pixel(image, inside(window.rows, outRow, 0, input.height),
                       inside(window.columns, outColumn, 0, input.width));
  }

private:
  static I64 inside(const Window::Side &side, I64 out, I64 tap, I64 extent) {
    return maxOf(0, minOf(out * side.stride + tap - side.low, extent - 1));
  }

  KernelEmission &e;
  const Window &window;
  const Image &input;
  I64 image;
};

KernelForm maxPool(MaxPool2DOp op, const Signature &signature) {
  Window window(op);
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[out][0] * extents.shapes[out][1]};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image input(e, in), output(e, out);
      I64 image = task / output.height, row = task % output.height;
      MaxWindows windows(e, window, input, image);
      e.k.loop(0, output.width, [&](I64 column) {
        e.forVectors(0, output.channels, [&](I64 channel, Value mask) {
          auto load = [&](I64 pixel) {
            return e.k.load(input.base, pixel + channel, mask);
          };
          Values best = windows.visit(
              row, column, {load(windows.first(row, column))},
              [&](I64, I64 pixel, ValueRange carried) -> Values {
                Value x = load(pixel);
                return {e.select(e.greater(x, carried[0]), x, carried[0])};
              });
          e.k.store(best[0], output.base,
                    output.pixel(image, row, column) + channel, mask);
        });
      });
    });
  };
  return form;
}

/// Adds the gradient of one output pixel to the largest element of its window.
void scatterGradient(KernelEmission &e, MaxWindows &windows, const Image &input,
                     Value gradient, Value dInput, I64 row, I64 column,
                     I64 channel, Value mask) {
  KernelBuilder &k = e.k;
  auto lanes = VectorType::get({k.width}, k.builder.getI32Type());
  auto number = [&](I64 tap) -> Value {
    Value narrow = arith::TruncIOp::create(k.builder, k.loc,
                                           k.builder.getI32Type(), tap.in(k));
    return vector::BroadcastOp::create(k.builder, k.loc, lanes, narrow);
  };
  Value start = k.load(input.base, windows.first(row, column) + channel, mask);
  Values best =
      windows.visit(row, column, {start, number(0)},
                    [&](I64 tap, I64 pixel, ValueRange carried) -> Values {
                      Value x = k.load(input.base, pixel + channel, mask);
                      Value larger = e.greater(x, carried[0]);
                      return {e.select(larger, x, carried[0]),
                              e.select(larger, number(tap), carried[1])};
                    });
  windows.visit(row, column, {}, [&](I64 tap, I64 pixel, ValueRange) -> Values {
    Value hit = arith::CmpIOp::create(
        k.builder, k.loc, arith::CmpIPredicate::eq, best[1], number(tap));
    Value share = e.select(hit, gradient, k.zeroVector());
    Value old = k.load(dInput, pixel + channel, mask);
    k.store(k.add(old, share), dInput, pixel + channel, mask);
    return {};
  });
}

/// One task for each image and block of channels of a buffer.
auto imagesByChannels(int64_t buffer) {
  return [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[buffer][0] *
                   ceilDiv(extents.channels(buffer), channelBlock)};
    return sizes;
  };
}

/// The gradient for the first of the largest of a window's elements, zero for
/// the others.
Values gradientOfLargest(KernelEmission &e, const Image &input,
                         ArrayRef<I64> taps, Value gradient, Value mask) {
  Values elements;
  for (I64 tap : taps)
    elements.push_back(e.k.load(input.base, tap, mask));
  Value largest = elements.front();
  // The last element that is larger than all before it.
  SmallVector<Value> rises = {Value()};
  for (Value x : ArrayRef(elements).drop_front()) {
    rises.push_back(e.greater(x, largest));
    largest = e.select(rises.back(), x, largest);
  }
  Values shares(taps.size());
  Value left = gradient;
  for (size_t tap = taps.size() - 1; tap > 0; --tap) {
    shares[tap] = e.select(rises[tap], left, e.k.zeroVector());
    left = e.select(rises[tap], e.k.zeroVector(), left);
  }
  shares[0] = left;
  return shares;
}

/// A task owns some channels of an image, so that overlapping windows add up in
/// a fixed order.
KernelForm maxPoolGrad(MaxPool2DGradOp op, const Signature &signature) {
  Window window(op);
  int64_t in = signature.bufferOf(op.getInput());
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  if (areDisjoint(window)) {
    form.sizes = [=](const HostExtents &extents) {
      return DisjointGradient::launch(extents, gradient);
    };
    form.emit = [=](KernelEmission &e) {
      e.phaseOfTasks([&](I64 task) {
        Image input(e, in), output(e, gradient), to(e, result);
        DisjointGradient(e, window, to, output)
            .emit(task, [&](ArrayRef<I64> taps, I64 from, Value mask) {
              return gradientOfLargest(e, input, taps,
                                       e.k.load(output.base, from, mask), mask);
            });
      });
    };
    return form;
  }
  form.sizes = imagesByChannels(in);
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image input(e, in), output(e, gradient);
      I64 blocks = ceilDiv(input.channels, I64(channelBlock));
      I64 image = task / blocks;
      auto [first, last] = e.block(task % blocks, channelBlock, input.channels);
      Value dInput = e.buffers[result];
      e.k.loop(0, input.height * input.width,
               [&, first = first, last = last](I64 pixel) {
                 e.forVectors(first, last, [&](I64 channel, Value mask) {
                   e.k.store(e.k.zeroVector(), dInput,
                             input.pixel(image, 0, pixel) + channel, mask);
                 });
               });
      MaxWindows windows(e, window, input, image);
      e.k.loop(0, output.height * output.width,
               [&, first = first, last = last](I64 pixel) {
                 I64 row = pixel / output.width, column = pixel % output.width;
                 e.forVectors(first, last, [&](I64 channel, Value mask) {
                   Value dy = e.k.load(
                       output.base, output.pixel(image, row, column) + channel,
                       mask);
                   scatterGradient(e, windows, input, dy, dInput, row, column,
                                   channel, mask);
                 });
               });
    });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Average pooling
//===----------------------------------------------------------------------===//

using Range = std::pair<I64, I64>;

/// Input rows (or columns) in an output's window.
Range inputsOf(const Window::Side &side, I64 out, I64 extent) {
  I64 begin = out * side.stride - side.low;
  return {maxOf(0, begin), minOf(begin + side.size, extent)};
}

/// Outputs whose window holds an input row (or column).
Range outputsOf(const Window::Side &side, I64 in, I64 extent) {
  I64 last = in + side.low;
  I64 first = ceilDiv(maxOf(last - (side.size - 1), 0), I64(side.stride));
  return {first, minOf(last / side.stride + 1, extent)};
}

/// Sums an image's channels over a rectangle of pixels.
Value sumPixels(KernelEmission &e, const Image &from, I64 image, Range rows,
                Range columns, I64 channel, Value mask) {
  Values sum = e.k.loop(
      rows.first, rows.second, e.k.zeroVector(),
      [&](I64 row, ValueRange outer) {
        return e.k.loop(columns.first, columns.second, outer,
                        [&](I64 column, ValueRange carried) -> Values {
                          I64 pixel = from.pixel(image, row, column);
                          Value x = e.k.load(from.base, pixel + channel, mask);
                          return {e.k.add(carried[0], x)};
                        });
      });
  return sum[0];
}

/// Each output pixel is the sum over a rectangle of input pixels, scaled. Both
/// average pooling and its gradient are.
KernelForm averageForm(int64_t in, int64_t out, const Window &window,
                       Range (*rangeOf)(const Window::Side &, I64, I64)) {
  double factor = 1.0 / (window.rows.size * window.columns.size);
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[out][0] * extents.shapes[out][1]};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image from(e, in), to(e, out);
      I64 image = task / to.height, row = task % to.height;
      Range rows = rangeOf(window.rows, row, from.height);
      e.k.loop(0, to.width, [&](I64 column) {
        Range columns = rangeOf(window.columns, column, from.width);
        e.forVectors(0, to.channels, [&](I64 channel, Value mask) {
          Value sum = sumPixels(e, from, image, rows, columns, channel, mask);
          e.k.store(e.mul(sum, e.splat(factor)), to.base,
                    to.pixel(image, row, column) + channel, mask);
        });
      });
    });
  };
  return form;
}

/// Of windows without padding, whose elements all exist.
KernelForm unpaddedAverage(int64_t in, int64_t out, const Window &window) {
  double factor = 1.0 / (window.rows.size * window.columns.size);
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    return DisjointGradient::launch(extents, out);
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image from(e, in), to(e, out);
      I64 image = task / to.height, row = task % to.height;
      e.k.loop(0, to.width, [&](I64 column) {
        SmallVector<I64> taps = tapsOf(window, from, image, row, column);
        I64 at = to.pixel(image, row, column);
        e.forVectors(0, to.channels, [&](I64 channel, Value mask) {
          Value sum = e.k.zeroVector();
          for (I64 tap : taps)
            sum = e.k.add(sum, e.k.load(from.base, tap + channel, mask));
          e.k.store(e.mul(sum, e.splat(factor)), to.base, at + channel, mask);
        });
      });
    });
  };
  return form;
}

KernelForm avgPool(AvgPool2DOp op, const Signature &signature) {
  Window window(op);
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  auto isUnpadded = [](const Window::Side &side) {
    return side.low == 0 && side.high == 0;
  };
  if (isUnpadded(window.rows) && isUnpadded(window.columns) &&
      window.rows.size * window.columns.size <= unrolledTaps)
    return unpaddedAverage(in, out, window);
  return averageForm(in, out, window, inputsOf);
}

KernelForm avgPoolGrad(AvgPool2DGradOp op, const Signature &signature) {
  Window window(op);
  int64_t in = signature.bufferOf(op.getGradient());
  int64_t out = signature.bufferOf(op.getResult());
  if (!areDisjoint(window))
    return averageForm(in, out, window, outputsOf);
  double factor = 1.0 / (window.rows.size * window.columns.size);
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    return DisjointGradient::launch(extents, in);
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image output(e, in), to(e, out);
      DisjointGradient(e, window, to, output)
          .emit(task, [&](ArrayRef<I64> taps, I64 from, Value mask) {
            Value share =
                e.mul(e.k.load(output.base, from, mask), e.splat(factor));
            return Values(taps.size(), share);
          });
    });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Global average pooling
//===----------------------------------------------------------------------===//

KernelForm globalAvgPool(GlobalAvgPoolOp op, const Signature &signature) {
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = imagesByChannels(in);
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image from(e, in);
      I64 area = from.height * from.width;
      I64 blocks = ceilDiv(from.channels, I64(channelBlock));
      I64 image = task / blocks;
      auto [first, last] = e.block(task % blocks, channelBlock, from.channels);
      I64 start = first;
      e.forColumns(last - first, 4, [&](ArrayRef<I64> offsets, Value mask) {
        Values sums =
            e.k.loop(0, area, Values(offsets.size(), e.zero64()),
                     [&](I64 pixel, ValueRange carried) {
                       Values next;
                       I64 at = from.pixel(image, 0, pixel) + start;
                       for (I64 channel : offsets)
                         next.push_back(e.k.add(
                             carried[next.size()],
                             e.widen(e.k.load(from.base, at + channel, mask))));
                       return next;
                     });
        for (auto [channel, sum] : llvm::zip(offsets, sums))
          e.k.store(e.narrow(e.div(sum, e.splat64(e.toDouble(area)))),
                    e.buffers[out], image * from.channels + start + channel,
                    mask);
      });
    });
  };
  return form;
}

KernelForm globalAvgPoolGrad(GlobalAvgPoolGradOp op,
                             const Signature &signature) {
  int64_t in = signature.bufferOf(op.getGradient());
  int64_t out = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[out][0] * extents.shapes[out][1]};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      Image to(e, out);
      I64 image = task / to.height, row = task % to.height;
      Value area = e.k.broadcast(e.toFloat(to.height * to.width));
      e.forVectors(0, to.channels, [&](I64 channel, Value mask) {
        Value dy = e.k.load(e.buffers[in], image * to.channels + channel, mask);
        Value share = e.div(dy, area);
        e.k.loop(0, to.width, [&](I64 column) {
          e.k.store(share, to.base, to.pixel(image, row, column) + channel,
                    mask);
        });
      });
    });
  };
  return form;
}

} // namespace

KernelForm poolingForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, KernelForm>(op)
      .Case([&](MaxPool2DOp pool) { return maxPool(pool, signature); })
      .Case([&](MaxPool2DGradOp pool) { return maxPoolGrad(pool, signature); })
      .Case([&](AvgPool2DOp pool) { return avgPool(pool, signature); })
      .Case([&](AvgPool2DGradOp pool) { return avgPoolGrad(pool, signature); })
      .Case(
          [&](GlobalAvgPoolOp pool) { return globalAvgPool(pool, signature); })
      .Case([&](GlobalAvgPoolGradOp pool) {
        return globalAvgPoolGrad(pool, signature);
      })
      .Default(KernelForm());
}

} // namespace cambium::grow
