"""Settings of PyTorch's compiler to machine code, which programs set; nothing reads them here."""

import types

coordinate_descent_tuning = False
coordinate_descent_check_all_directions = False
epilogue_fusion = True
fx_graph_cache = True
fx_graph_remote_cache = None
freezing = False
max_autotune = False
max_autotune_gemm = False
max_autotune_gemm_backends = "ATEN,TRITON,CPP"
conv_1x1_as_mm = False
compile_threads = 1
force_fuse_int_mm_with_mul = False
force_same_precision = False
use_mixed_mm = False
triton = types.SimpleNamespace(
    cudagraphs=False,
    cudagraph_trees=True,
    unique_kernel_names=True,
    cudagraph_skip_dynamic_graphs=False,
)
cpp = types.SimpleNamespace(enable_kernel_profile=False, threads=-1, weight_prepack=True)
