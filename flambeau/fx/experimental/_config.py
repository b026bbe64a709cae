"""Switches of symbolic shapes, which libraries set; nothing reads them, as shapes are known."""

use_duck_shape = True
translation_validation = False
