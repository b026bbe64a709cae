"""Answers what an image shows: as a function to call, or over HTTP.

python examples/serve.py --weights out/finetune/resnet18.pt --image picture.jpg
python examples/serve.py --weights out/finetune/resnet18.pt --port 8000
curl --data-binary @picture.jpg http://localhost:8000
"""

import argparse
import http.server
import json
import pathlib
import time

START = time.perf_counter()  # the first answer of a small function waits for the imports
import flambeau as torch  # noqa: E402
from flambeau.vision import io, models  # noqa: E402
from flambeau.vision.transforms import v2  # noqa: E402

IMPORTED = time.perf_counter()


class Classifier:
    """The classes of an image, from the weights that `examples/finetune.py` saves."""

    def __init__(self, path, size=64):
        saved = torch.load(path, mmap=True)
        self.classes = saved["classes"]
        self.model = models.resnet18(num_classes=len(self.classes)).eval()
        self.model.load_state_dict(saved["model"])
        self.prepare = v2.Compose([
            v2.Resize(size, antialias=True),
            v2.CenterCrop(size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])  # fmt: skip

    @torch.inference_mode()
    def __call__(self, data):
        """{class: probability} of the bytes of a PNG, JPEG, GIF or WebP file."""
        data = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        image = io.decode_image(data, mode=io.ImageReadMode.RGB)
        shares = self.model(self.prepare(image)[None]).softmax(1)[0]
        return {name: round(float(share), 4) for name, share in zip(self.classes, shares)}


def make_server(classify, port):
    """A server that takes images by POST and gives JSON."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, answer = 200, classify(data)
            except (RuntimeError, ValueError) as error:
                status, answer = 400, {"error": str(error)}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, metavar="FILE")
    parser.add_argument("--image", metavar="FILE", help="answer for this one and end")
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    classify = Classifier(args.weights, args.size)
    ready = time.perf_counter()
    print(f"import {1000 * (IMPORTED - START):.0f} ms, ready after {1000 * (ready - START):.0f} ms")
    if args.image:
        print(json.dumps(classify(pathlib.Path(args.image).read_bytes())))
        return
    print(f"http://localhost:{args.port}", flush=True)
    make_server(classify, args.port).serve_forever()


if __name__ == "__main__":
    main()
