"""flambeau.return_types: the named tuples that operators with several results give."""

from flambeau import _C

# The fields of those that no native operator has made.
_FIELDS = {
    "frexp": ("mantissa", "exponent"),
    "geqrf": ("a", "tau"),
    "histogram": ("hist", "bin_edges"),
    "histogramdd": ("hist", "bin_edges"),
    "linalg_cholesky_ex": ("L", "info"),
    "linalg_eig": ("eigenvalues", "eigenvectors"),
    "linalg_eigh": ("eigenvalues", "eigenvectors"),
    "linalg_inv_ex": ("inverse", "info"),
    "linalg_ldl_factor": ("LD", "pivots"),
    "linalg_ldl_factor_ex": ("LD", "pivots", "info"),
    "linalg_lstsq": ("solution", "residuals", "rank", "singular_values"),
    "linalg_lu": ("P", "L", "U"),
    "linalg_lu_factor": ("LU", "pivots"),
    "linalg_lu_factor_ex": ("LU", "pivots", "info"),
    "linalg_qr": ("Q", "R"),
    "linalg_slogdet": ("sign", "logabsdet"),
    "linalg_solve_ex": ("result", "info"),
    "linalg_svd": ("U", "S", "Vh"),
    "lu_unpack": ("P", "L", "U"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "V"),
    "triangular_solve": ("solution", "cloned_coefficient"),
}


def pytree_register_structseq(cls):
    """Makes the class known to flambeau.utils._pytree, which takes named tuples as they are."""
    return cls


def _make():
    for name, fields in _FIELDS.items():
        _C._return_type(name, fields)
    classes = dict(_C._return_types)
    for name, cls in classes.items():
        globals()[name] = cls
        if name != "histogramdd":
            globals()[name + "_out"] = cls  # what the call with out= gives
    return list(classes.values())


all_return_types = _make()
