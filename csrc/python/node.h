// The graph as Python sees it: nodes, hooks, the context of autograd.Function.
#pragma once
#include "python.h"

namespace flambeau {

extern PyTypeObject* NodeType;  // flambeau._C.Node: every grad_fn but those of Functions
extern PyTypeObject* FunctionBaseType;  // flambeau._C._FunctionBase: Function and its contexts

// A node that any Python grad_fn stands for; null with no error set: the object is none.
Node* node_from(PyObject* o);
PyObject* imported(const char* module, const char* name);  // a new reference
Node* node_behind(PyObject* o);  // of a NodeType object

// What nodes and the contexts of Functions have in common.
PyObject* node_name(Node& n);
PyObject* node_next_functions(Node& n);
PyObject* node_metadata(Node& n);  // a dict
PyObject* node_input_metadata(Node& n);
PyObject* node_register_hook(Node& n, PyObject* hook);
PyObject* node_register_prehook(Node& n, PyObject* hook);

// Classes of tensors with a __torch_dispatch__ of their own (transform.cpp).
bool has_torch_dispatch(PyTypeObject* cls);
void expect_torch_dispatch();  // from here on calls look for tensors of such classes

Py wrap_all(const TensorList& list);  // a tuple

// Tensor.register_hook, register_post_accumulate_grad_hook.
PyObject* tensor_register_hook(const Tensor& t, PyObject* hook);
PyObject* tensor_backward_hooks(const Tensor& t);
void tensor_set_backward_hooks(const Tensor& t, PyObject* hooks);
PyObject* tensor_register_post_accumulate_grad_hook(const Tensor& t, PyObject* hook);

// A node of autograd.Function: runs the class's backward with its context.
struct PyContext;
struct FunctionNode final : Node {
  PyContext* context;  // owned
  Small<SavedTensor, 4> saved;
  std::vector<bool> inputs, outputs;  // which arguments and results of forward were tensors
  explicit FunctionNode(PyContext* c);
  ~FunctionNode() override;
  std::string name() const override;
  TensorList apply(TensorList&& grads) override;
  void release_saved() override;
};
PyObject* context_object(const FunctionNode& n);  // borrowed
PyObject* context_behind(const Node& n);  // of a Function's node, borrowed; null for others
void track_result(PyObject* tensor);  // shows it to the collector of cycles, which may know it

void init_node(PyObject* m);
void init_function(PyObject* m);

}  // namespace flambeau
