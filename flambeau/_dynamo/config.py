"""Settings of the compiler that programs set; nothing reads them, as nothing is compiled."""

suppress_errors = False
cache_size_limit = recompile_limit = 8
capture_scalar_outputs = False
verbose = False
assume_static_by_default = True
automatic_dynamic_shapes = True
