"""Tensors of classes of their own, out of worker processes."""

import flambeau as torch


class _Labelled(torch.Tensor):
    pass


class _Boxes(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        made = torch.full((2,), float(i)).as_subclass(_Labelled)
        made.unit = "m"
        return made, torch.nn.Parameter(torch.ones(1))


def _as_it_is(batch):
    return batch


def test_classes_of_tensors_come_out_of_workers():
    loader = torch.utils.data.DataLoader(_Boxes(), 2, num_workers=1, collate_fn=_as_it_is)
    for i, (made, parameter) in enumerate(next(iter(loader))):
        assert type(made) is _Labelled and made.unit == "m" and made.tolist() == [i, i]
        assert type(parameter) is torch.nn.Parameter and parameter.requires_grad
