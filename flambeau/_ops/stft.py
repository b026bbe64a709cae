"""Spectra of a signal through a moving window, and the signal back from them."""

import warnings

import flambeau

from . import functions, op


def _pad(input, by, mode="constant"):
    from flambeau.nn.functional import pad

    *rest, n = input.shape
    return pad(input.reshape(1, -1, n), by, mode).reshape(*rest, -1)


def _window(window, win_length, n_fft, like, name):
    """The window (ones where none is given) in the middle of n_fft points."""
    if window is None:
        if win_length == n_fft:
            return None
        window = flambeau.ones(win_length, dtype=like, device="cpu")
    elif window.dim() != 1 or len(window) != win_length:
        raise RuntimeError(
            f"{name}(): expected a 1D window tensor of size equal to win_length={win_length}, "
            f"but got window with size {list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    if win_length < n_fft:
        window = _pad(window, (left, n_fft - win_length - left))
    return window


@op(
    "stft(Tensor input, int n_fft, int? hop_length=None, int? win_length=None, "
    "Tensor? window=None, bool center=True, str pad_mode='reflect', bool normalized=False, "
    "bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor"
)
def stft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect",
    normalized=False, onesided=None, return_complex=None, align_to_window=None,
):  # fmt: skip
    """The short-time Fourier transform: of stretches of n_fft samples every hop_length samples.

    From a signal [T] or signals [B, T] to [..., frequencies, stretches], complex, or with real and
    imaginary parts in a last dimension where `return_complex` is False. `center` pads the signal so
    that stretch t is around sample t * hop_length; `onesided` (the default for real signals) leaves
    out the frequencies that mirror the others.

    >>> import flambeau as torch
    >>> x = torch.sin(torch.arange(64.0))
    >>> torch.stft(x, 16, window=torch.hann_window(16), return_complex=True).shape
    torch.Size([9, 17])
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError("stft(): expected a tensor of floating point or complex values")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft(): expected a 1D or 2D tensor, but got {input.dim()}D")
    if center and n_fft > 0:
        input = _pad(input, (n_fft // 2, n_fft // 2), pad_mode)
    if align_to_window and 0 < win_length < n_fft:
        input = _pad(input, ((n_fft - win_length) // 2,) * 2)
    if not 0 < n_fft <= input.shape[-1]:
        raise RuntimeError(f"stft(): expected 0 < n_fft < {input.shape[-1]}, but got n_fft={n_fft}")
    if hop_length <= 0:
        raise RuntimeError(f"stft(): expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"stft(): expected 0 < win_length <= n_fft, but got win_length={win_length}"
        )
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    onesided = not is_complex if onesided is None else onesided
    window = _window(window, win_length, n_fft, input.dtype, "stft")
    frames = input.unfold(-1, n_fft, hop_length)
    if window is not None:
        frames = frames * window
    transform = functions["fft.rfft" if onesided else "fft.fft"]
    result = transform(frames, norm="ortho" if normalized else None).transpose(-1, -2)
    return result if return_complex else functions["view_as_real"](result)


def _overlap_add(frames, hop):
    """The sum [..., length] of stretches [..., t, n] that begin hop after one another."""
    count, n = frames.shape[-2:]
    at = flambeau.arange(count).unsqueeze(1) * hop + flambeau.arange(n)
    total = frames.new_zeros([*frames.shape[:-2], (count - 1) * hop + n])
    return total.index_add(-1, at.reshape(-1), frames.flatten(-2))


def _check_istft(input, n_fft, hop_length, win_length, onesided):
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if input.numel() == 0:
        raise RuntimeError("istft(): input tensor cannot be empty.")
    if input.dim() < 2:
        raise IndexError("Dimension out of range: istft() wants frequencies and stretches")
    if input.dim() > 3:
        raise RuntimeError(
            f"istft(): expected a tensor with 2 or 3 dimensions, but got {input.dim()}"
        )
    wanted, text = (n_fft // 2 + 1, "n_fft / 2 + 1") if onesided else (n_fft, "n_fft")
    if input.shape[-2] != wanted:
        raise RuntimeError(
            f"istft(): expected the frequency dimension (2nd to the last) of the input tensor to "
            f"match {text} when onesided={onesided}, but got {input.shape[-2]}"
        )
    if not 0 < hop_length <= win_length:
        raise RuntimeError("istft(): expected 0 < hop_length <= win_length")
    if not 0 < win_length <= n_fft:
        raise RuntimeError("istft(): expected 0 < win_length <= n_fft")


@op(
    "istft(Tensor input, int n_fft, int? hop_length=None, int? win_length=None, "
    "Tensor? window=None, bool center=True, bool normalized=False, bool? onesided=None, "
    "int? length=None, bool return_complex=False) -> Tensor"
)
def istft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False,
    onesided=None, length=None, return_complex=False,
):  # fmt: skip
    """The inverse of `stft`: the signal whose windowed stretches come closest (Griffin, Lim 1984).

    From [frequencies, stretches] or [B, frequencies, stretches] to [T] or [B, T], cut to `length`
    or filled with zeros.

    >>> import flambeau as torch
    >>> x, window = torch.sin(torch.arange(64.0)), torch.hann_window(16)
    >>> spectrum = torch.stft(x, 16, window=window, return_complex=True)
    >>> torch.allclose(torch.istft(spectrum, 16, window=window), x, atol=1e-6)
    True
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if onesided is None:
        onesided = input.dim() < 2 or input.shape[-2] != n_fft
    _check_istft(input, n_fft, hop_length, win_length, onesided)
    if window is not None and window.is_complex() and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    real = input.dtype.to_real()
    window = _window(window, win_length, n_fft, real, "istft")
    if window is None:
        window = flambeau.ones(n_fft, dtype=real)
    norm = "ortho" if normalized else None
    spectra = input.transpose(-1, -2)
    if return_complex:
        frames = functions["fft.ifft"](spectra, norm=norm)
    else:  # the first half of the frequencies says all of a real signal
        frames = functions["fft.irfft"](spectra[..., : n_fft // 2 + 1], n_fft, norm=norm)
    signal = _overlap_add(frames * window, hop_length)
    weight = _overlap_add((window * window).expand(frames.shape[-2], n_fft), hop_length)
    start = n_fft // 2 if center else 0
    if length is not None:
        end = start + length
    else:
        end = signal.shape[-1] - start
    signal, weight = signal[..., start:end], weight[start:end]
    if not bool((weight.abs() > 1e-11).all()):
        raise RuntimeError(
            f"istft(): window overlap add min: {weight.abs().min().item()}: the window leaves "
            "samples out"
        )
    signal = signal / weight
    missing = end - start - signal.shape[-1]
    if missing > 0:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            stacklevel=2,
        )
        signal = _pad(signal, (0, missing))
    return signal
