"""The graph of gradients as an SVG picture: layers from the result down to the leaves.

A node's layer is the longest way to it. Edges that cross several layers pass through a point in
each, and the order within a layer is improved by sweeps that put nodes at the mean of their
neighbours (Sugiyama, Tagawa and Toda 1981).
"""

from html import escape

_HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _CHARACTER = 34, 24, 34, 16, 7.2
_STYLE = {
    "leaf": ("#d7ecd9", "#3f7d4a"),
    "node": ("#eef1f6", "#5b6b86"),
    "root": ("#fde9c9", "#a8762a"),
}


class _Box:
    """A node of the picture; without lines, a point that an edge passes through."""

    def __init__(self, lines, kind):
        self.lines, self.kind = lines, kind
        self.below, self.above = [], []
        self.layer = 0
        self.x = self.y = 0.0
        self.width = max((len(s) for s in lines), default=0) * _CHARACTER + 20 if lines else 8


def _shape_text(shape):
    return "(" + ", ".join(map(str, shape)) + ")"


def _collect(outputs, names):
    """Boxes of the outputs, and of all nodes that lead to them, linked."""
    from .. import _C

    outputs = (outputs,) if isinstance(outputs, _C.Tensor) else tuple(outputs)
    labels = {id(t): name for name, t in (names or {}).items()}
    boxes, order = {}, []

    def leaf_lines(node):
        tensor = node.variable
        name = labels.get(id(tensor))
        return [*([name] if name else ["leaf"]), _shape_text(tensor.shape)]

    def box_of(node):
        if node not in boxes:
            is_leaf = hasattr(node, "variable") and "AccumulateGrad" in node.name()
            lines = leaf_lines(node) if is_leaf else [node.name()]
            boxes[node] = _Box(lines, "leaf" if is_leaf else "node")
            order.append(node)
        return boxes[node]

    roots = []
    for output in outputs:
        if not output.requires_grad:
            raise RuntimeError("draw(): a tensor does not require grad and has no graph")
        root = _Box(["result", _shape_text(output.shape)], "root")
        node = output.grad_fn
        if node is None:
            from .graph import get_gradient_edge

            node = get_gradient_edge(output).node
        root.below.append(box_of(node))
        roots.append(root)
    at = 0
    while at < len(order):
        node = order[at]
        at += 1
        for child, _ in node.next_functions:
            if child is not None:
                boxes[node].below.append(box_of(child))
    return roots, [boxes[n] for n in order]


def _assign_layers(roots, boxes):
    """Every box one layer below the lowest of those that lead to it."""
    waiting = {}
    for box in (*roots, *boxes):
        for child in box.below:
            waiting[child] = waiting.get(child, 0) + 1
    ready = list(roots)
    while ready:
        box = ready.pop()
        for child in box.below:
            child.layer = max(child.layer, box.layer + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)


def _split_long_edges(roots, boxes):
    """Layers of boxes, with points where an edge passes a layer."""
    every = [*roots, *boxes]
    for box in list(every):
        for i, child in enumerate(box.below):
            upper = box
            for layer in range(box.layer + 1, child.layer):
                point = _Box([], "point")
                point.layer = layer
                every.append(point)
                if upper is box:
                    box.below[i] = point
                else:
                    upper.below.append(point)
                upper = point
            if upper is not box:
                upper.below.append(child)
    layers = [[] for _ in range(max(b.layer for b in every) + 1)]
    for box in every:
        layers[box.layer].append(box)
        for child in box.below:
            child.above.append(box)
    return layers


def _order(layers):
    for sweep in range(8):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            place = {}
            for i, box in enumerate(layer):
                around = box.above if down else box.below
                place[box] = sum(b.x for b in around) / len(around) if around else box.x or i
            layer.sort(key=place.__getitem__)
            for i, box in enumerate(layer):
                box.x = i


def _place(layers):
    """Coordinates: layers below each other, each in the middle."""
    widths = [sum(b.width + _GAP_X for b in layer) - _GAP_X for layer in layers]
    whole = max(widths)
    for depth, (layer, width) in enumerate(zip(layers, widths, strict=True)):
        x = _MARGIN + (whole - width) / 2
        for box in layer:
            box.x, box.y = x + box.width / 2, _MARGIN + depth * (_HEIGHT + _GAP_Y)
            x += box.width + _GAP_X
    return whole + 2 * _MARGIN, len(layers) * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN


def _edges(layers):
    for layer in layers:
        for box in layer:
            if box.kind == "point":
                continue
            for child in box.below:
                path, upper = [], box
                start = (box.x, box.y + _HEIGHT)
                while True:
                    end = (child.x, child.y + (_HEIGHT / 2 if child.kind == "point" else 0))
                    middle = (start[1] + end[1]) / 2
                    path.append(
                        f"C{start[0]:.1f},{middle:.1f} {end[0]:.1f},{middle:.1f} "
                        f"{end[0]:.1f},{end[1]:.1f}"
                    )
                    if child.kind != "point":
                        break
                    start, upper, child = end, child, child.below[0]
                arrow = "" if upper is None else ' marker-end="url(#a)"'
                yield f'<path d="M{box.x:.1f},{box.y + _HEIGHT:.1f}{" ".join(path)}"{arrow}/>'


def _boxes(layers):
    for layer in layers:
        for box in layer:
            if box.kind == "point":
                continue
            fill, line = _STYLE[box.kind]
            yield (
                f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
                f'height="{_HEIGHT}" rx="5" fill="{fill}" stroke="{line}"/>'
            )
            step = _HEIGHT / (len(box.lines) + 1)
            for i, text in enumerate(box.lines, 1):
                y = box.y + step * i + 4
                yield f'<text x="{box.x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def picture(outputs, names=None):
    """The SVG text."""
    roots, boxes = _collect(outputs, names)
    _assign_layers(roots, boxes)
    layers = _split_long_edges(roots, boxes)
    _order(layers)
    width, height = _place(layers)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12" '
            'text-anchor="middle">',
            '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0,0 8,4 0,8z" fill="#8792a5"/></marker>'
            "</defs>",
            '<g fill="none" stroke="#8792a5">',
            *_edges(layers),
            "</g>",
            *_boxes(layers),
            "</svg>",
            "",
        ]
    )
