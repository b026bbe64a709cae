"""Settings of the compiler that programs set. `recompile_limit`: how many graphs are made of one
function for a backend of the program's own; nothing reads the others."""

suppress_errors = False
cache_size_limit = recompile_limit = 8
capture_scalar_outputs = False
verbose = False
assume_static_by_default = True
automatic_dynamic_shapes = True
accumulated_cache_size_limit = accumulated_recompile_limit = 256
capture_dynamic_output_shape_ops = False
compiled_autograd = False
inline_inbuilt_nn_modules = True
optimize_ddp = True
skip_fsdp_hooks = True
log_level = None
