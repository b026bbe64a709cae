// What the families that move elements about share: strides of views, dimension lists.
#pragma once
#include "../op.h"

namespace flambeau {

// The strides that show a tensor in another shape without moving its elements, if there are any.
std::optional<Ints> view_strides(const Tensor& t, IntSpan sizes);
// Sizes with -1 replaced by what the number of elements asks for.
Ints infer_size(IntSpan sizes, int64_t numel, const char* op);
// t in another shape: a view when there is one, else a plain copy. No history.
Tensor reshape_raw(const Tensor& t, IntSpan sizes);
// Dimensions counted from the front; an error when one occurs twice.
Ints wrap_dims(IntSpan dims, int64_t ndim, const char* op);
// t with dimension `dim` cut to [start, start + length). No history.
Tensor narrow_raw(const Tensor& t, int64_t dim, int64_t start, int64_t length);
Tensor select_raw(const Tensor& t, int64_t dim, int64_t index);
Tensor transpose_raw(const Tensor& t, int64_t a, int64_t b);
Tensor permute_raw(const Tensor& t, const Ints& order);
Tensor expand_raw(const Tensor& t, IntSpan sizes);
Tensor empty_with_format(const Tensor& like, DType dtype, Device device,
                         std::optional<MemoryFormat> format);

}  // namespace flambeau
