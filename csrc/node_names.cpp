// What nodes are called: PyTorch's names, which programs print and compare.
#include "node_names.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <unordered_map>

#include "pointwise.h"

namespace flambeau {
namespace {

bool is_tensor(const OpNode& n, int arg) {
  return n.args[static_cast<size_t>(arg)].tag() == Value::shape;
}

int64_t length(const OpNode& n, int arg) {  // of a list of numbers
  const Value& v = n.args[static_cast<size_t>(arg)];
  return v.tag() == Value::ints ? static_cast<int64_t>(v.as_ints().size()) : 0;
}

bool given(const OpNode& n, int arg) { return !n.args[static_cast<size_t>(arg)].is_none(); }

template <int arg>
const char* pick(const OpNode& n, const char* tensor, const char* number) {
  return is_tensor(n, arg) ? tensor : number;
}

size_t ndim(const OpNode& n, int arg) { return n.args[static_cast<size_t>(arg)].as_ints().size(); }

// linear() is one node here; the last of PyTorch's nodes for the same shapes gives its name.
const char* linear(const OpNode& n) {
  if (n.op->schema.name != "nn.functional.linear") return "AddmmBackward0";
  const bool bias = is_tensor(n, 2);
  const size_t dims = ndim(n, 0);
  if (dims == 2) return bias ? "AddmmBackward0" : "MmBackward0";
  if (bias) return "ViewBackward0";
  return dims == 1 ? "SqueezeBackward4" : "UnsafeViewBackward0";
}

// _pad_edges(input, pad, mode)
const char* padding(const OpNode& n) {
  static const char* const names[2][3] = {
      {"ReflectionPad1DBackward0", "ReflectionPad2DBackward0", "ReflectionPad3DBackward0"},
      {"ReplicationPad1DBackward0", "ReplicationPad2DBackward0", "ReplicationPad3DBackward0"}};
  const int64_t mode = n.args[2].as_int(), dims = length(n, 1) / 2;
  return mode > 1 || dims < 1 || dims > 3 ? "torch::autograd::CopySlices" : names[mode][dims - 1];
}

using Namer = const char* (*)(const OpNode& n);

// By the name that follows from the record.
const std::unordered_map<std::string, Namer>& namers() {
#define IS(from, to) {from, [](const OpNode&) { return to; }}
#define BY(from, choice) {from, [](const OpNode& n) -> const char* { return choice; }}
  static const std::unordered_map<std::string, Namer> table = {
      // overloads that PyTorch numbers otherwise
      BY("SumBackward0", given(n, 1) ? "SumBackward1" : "SumBackward0"),
      BY("MeanBackward0", given(n, 1) ? "MeanBackward1" : "MeanBackward0"),
      BY("ProdBackward0", given(n, 1) ? "ProdBackward1" : "ProdBackward0"),
      BY("SqueezeBackward1", length(n, 1) == 1 ? "SqueezeBackward1" : "SqueezeBackward2"),
      BY("SortBackward0", given(n, 3) ? "SortBackward1" : "SortBackward0"),
      BY("FmodBackward0", (pick<1>(n, "FmodBackward1", "FmodBackward0"))),
      BY("RemainderBackward0", (pick<1>(n, "RemainderBackward1", "RemainderBackward0"))),
      BY("CopysignBackward0", (pick<1>(n, "CopysignBackward0", "CopysignBackward1"))),
      BY("LerpBackward0", (pick<2>(n, "LerpBackward1", "LerpBackward0"))),
      BY("PowBackward0",
         !is_tensor(n, 0) ? "PowBackward2" : pick<1>(n, "PowBackward1", "PowBackward0")),
      BY("FloatPowerBackward0",
         !is_tensor(n, 0) ? "PowBackward2" : pick<1>(n, "PowBackward1", "PowBackward0")),
      IS("MaxBackward0", "MaxBackward1"),
      IS("MaxBackward2", "MaxBackward0"),
      IS("MinBackward0", "MinBackward1"),
      IS("MinBackward2", "MinBackward0"),
      IS("ClampBackward0", "ClampBackward1"),
      IS("ClampTensorBackward0", "ClampBackward0"),
      IS("RsubBackward0", "RsubBackward1"),
      IS("FillBackward0", "FillBackward2"),
      // operators that are part of another one there
      BY("AddmmBackward0", linear(n)),
      BY("PadBackward0", padding(n)),
      BY("BmmBackward0", n.op->schema.name == "bmm" ? "BmmBackward0" : "UnsafeViewBackward0"),
      BY("DivBackward0", is_tensor(n, 0) ? "DivBackward0" : "MulBackward0"),
      BY("CrossEntropyBackward0", ndim(n, 0) > 2 ? "NllLoss2DBackward0" : "NllLossBackward0"),
      IS("SquaredDifferenceBackward0", "MseLossBackward0"),
      IS("AbsoluteErrorBackward0", "AbsBackward0"),
      IS("SmoothErrorBackward0", "SmoothL1LossBackward0"),
      IS("HuberErrorBackward0", "HuberLossBackward0"),
      IS("BceWithLogitsBackward0", "BinaryCrossEntropyWithLogitsBackward0"),
      IS("DivTruncBackward0", "DivBackward2"),
      IS("DivFloorBackward0", "DivBackward2"),
      IS("SquareBackward0", "PowBackward0"),
      IS("SeluBackward0", "EluBackward0"),
      IS("Relu6Backward0", "HardtanhBackward0"),
      IS("GeluTanhBackward0", "GeluBackward0"),
      IS("SoftsignBackward0", "DivBackward0"),
      IS("TanhshrinkBackward0", "SubBackward0"),
      IS("PreluBackward0", "PreluKernelBackward0"),
      IS("LogsigmoidBackward0", "LogSigmoidBackward0"),
      IS("MatrixExpBackward0", "LinalgMatrixExpBackward0"),
      IS("QrBackward0", "LinalgQrBackward0"),
      IS("FftComplexBackward0", "FftC2CBackward0"),
      IS("FftFromRealBackward0", "FftR2CBackward0"),
      IS("FftToRealBackward0", "FftC2RBackward0"),
      IS("FrexpMantissaBackward0", "FrexpBackward0"),
      IS("AvgPool1DBackward0", "SqueezeBackward1"),
      IS("MaxPool1DWithIndicesBackward0", "SqueezeBackward1"),
      IS("AdaptiveAvgPool1DBackward0", "SqueezeBackward1"),
      IS("AdaptiveMaxPool1DBackward0", "SqueezeBackward1"),
  };
#undef IS
#undef BY
  return table;
}

// Records of composites' last nodes: the node's own record under another name.
using Renamed = std::map<std::pair<const Op*, std::string>, Op*>;
Renamed& renamed() {
  static auto* table = new Renamed;
  return *table;
}

// Nodes that stand for a composite keep the number of its first node behind their arguments.
bool stands_for_more(const OpNode& n) { return n.op->flags & kNamedComposite; }
uint64_t first_number(const OpNode& n) {
  return static_cast<uint64_t>(n.args[static_cast<size_t>(n.op->nargs())].as_int());
}

void collect(const Node& n, uint64_t since, std::vector<Edge>& out,
             std::vector<const Node*>& seen) {
  for (const Edge& e : n.next) {
    const Node* next = e.node.get();
    if (!next || next->accumulates || next->sequence < since) {
      out.push_back(e);
    } else if (std::find(seen.begin(), seen.end(), next) == seen.end()) {
      seen.push_back(next);
      collect(*next, since, out, seen);
    }
  }
}

}  // namespace

std::string camel_case(const std::string& full) {
  const bool with_space = full.starts_with("special.") || full.starts_with("linalg.");
  std::string out;
  bool upper = true;
  for (char c : full.substr(with_space ? 0 : full.rfind('.') + 1)) {
    if (c == '_' || c == '.') {
      upper = true;
    } else {
      out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
      upper = c >= '0' && c <= '9';
    }
  }
  return out;
}

void add_number_edge(OpNode& node) {
  static const Op* const numbers[] = {find_op("add"), find_op("sub"), find_op("mul"),
                                      find_op("div")};
  if (node.next.size() != 1 || std::ranges::find(numbers, node.op) == std::end(numbers)) return;
  node.next.push_back({});
  node.slots.emplace_back(1 - node.slots[0].first, 0);
}

bool reads_results(const OpNode& node) {
  const PointwiseOp* p = node.op->pointwise;
  if (!p) return true;
  for (size_t s = 0; s < node.slots.size(); ++s)
    if (node.wants(s) && p->reads[node.slots[s].first] & kReadsY) return true;
  return false;
}

std::string name_of(const OpNode& n) {
  const auto found = namers().find(n.op->node_name);
  return found == namers().end() ? n.op->node_name : found->second(n);
}

void name_composite(const Tensor& result, const std::string& name, uint64_t since) {
  if (!result.defined() || !result.requires_grad()) return;
  const Edge edge = gradient_edge(result);
  auto* node = dynamic_cast<OpNode*>(edge.node.get());
  if (!node || node->sequence < since || stands_for_more(*node)) return;
  Op*& op = renamed()[{node->op, name}];
  if (!op) {
    op = new Op(*node->op);
    op->node_name = name;
    op->flags |= kNamedComposite;
  }
  node->op = op;
  node->args.push_back(Value(static_cast<int64_t>(since)));
}

std::vector<Edge> shown_edges(const Node& node) {
  const auto* n = dynamic_cast<const OpNode*>(&node);
  if (!n || !stands_for_more(*n)) return {node.next.begin(), node.next.end()};
  std::vector<Edge> out;
  std::vector<const Node*> seen;
  collect(node, first_number(*n), out, seen);
  return out;
}

}  // namespace flambeau
