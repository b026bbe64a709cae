"""Sparse tensors' functions and methods, whose code is imported when one is first called."""

from . import functions, methods


def _elsewhere(name, module, doc):
    def function(*args, **kwargs):
        from importlib import import_module

        home = import_module(f"flambeau.sparse.{module}")
        return getattr(home, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


_METHODS = {
    "coalesce": "The same sparse tensor with its positions in order, each once.",
    "to_dense": "The tensor with all its zeros; a dense tensor itself.",
    "to_sparse": "The tensor without its zeros, in the layout asked for.",
    "to_sparse_coo": "The tensor without its zeros, in coordinate format.",
    "to_sparse_csr": "The matrix without its zeros, in compressed rows.",
    "to_sparse_csc": "The matrix without its zeros, in compressed columns.",
    "to_sparse_bsr": "The matrix without the blocks that are zero, in compressed rows of them.",
    "to_sparse_bsc": "The matrix without the blocks that are zero, in compressed columns of them.",
    "indices": "The positions of a coalesced COO tensor.",
    "values": "The values of a sparse tensor.",
    "crow_indices": "Where each row of a CSR tensor begins.",
    "col_indices": "The columns of the values of a CSR tensor.",
    "ccol_indices": "Where each column of a CSC tensor begins.",
    "row_indices": "The rows of the values of a CSC tensor.",
    "_indices": "The positions of a COO tensor, coalesced or not.",
    "_values": "The values of a sparse tensor, coalesced or not.",
    "_nnz": "How many values a sparse tensor keeps.",
    "is_coalesced": "Whether the positions of a COO tensor are in order, each once.",
    "sparse_dim": "How many dimensions are sparse: none of a dense tensor.",
    "dense_dim": "How many dimensions are dense: all of a dense tensor.",
}
for _name, _doc in _METHODS.items():
    methods[_name] = _elsewhere(_name, "_create", _doc)
methods["sparse_mask"] = _elsewhere(
    "sparse_mask", "_shapes", "The elements at the positions of a sparse tensor."
)
methods["smm"] = _elsewhere("smm", "_products", "A sparse matrix times a dense one, sparse.")
functions["sparse_coo_tensor"] = _elsewhere(
    "sparse_coo_tensor", "_create", "A sparse tensor in coordinate format."
)
for _name, _doc in {
    "sparse_csr_tensor": "A sparse matrix in compressed rows.",
    "sparse_csc_tensor": "A sparse matrix in compressed columns.",
    "sparse_bsr_tensor": "A sparse matrix of blocks in compressed rows.",
    "sparse_bsc_tensor": "A sparse matrix of blocks in compressed columns.",
    "sparse_compressed_tensor": "A sparse matrix in compressed rows or columns.",
}.items():
    functions[_name] = _elsewhere(_name, "_compressed", _doc)
functions["spmm"] = functions["dsmm"] = functions["mm"]
functions["hsmm"] = _elsewhere("smm", "_products", "A sparse matrix times a dense one, sparse.")
functions["smm"] = methods["smm"]
functions["hspmm"] = _elsewhere(
    "hspmm", "_products", "A sparse matrix times a dense one, of which whole rows are kept."
)
functions["sspaddmm"] = methods["sspaddmm"] = _elsewhere(
    "sspaddmm", "_products", "A sparse matrix and a product of a sparse and a dense one, sparse."
)
methods["_coalesced_"] = _elsewhere(
    "_coalesced_", "_create", "Says whether positions are in order."
)
