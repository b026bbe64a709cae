"""python -m flambeau.distributed.run --nproc_per_node=2 program.py: in several processes.

Each process gets RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT, by
which `init_process_group()` finds the others. When one fails the others are ended, and all start
again up to --max-restarts times. `import torch` in the program is answered by flambeau.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import uuid


def _either(*names):
    return [f"--{name}" for name in names] + [f"--{name.replace('-', '_')}" for name in names]


def get_args_parser():
    parser = argparse.ArgumentParser(
        prog="flambeau.distributed.run", description="Starts a program in several processes."
    )

    def add(*names, **options):
        parser.add_argument(*dict.fromkeys(_either(*names)), **options)

    add("nproc-per-node", default="1", help="processes here: a number, auto or cpu")
    add("nnodes", default="1", help="how many machines")
    add("node-rank", type=int, default=0, help="the number of this machine")
    add("master-addr", default=None, help="where rank 0 runs")
    add("master-port", type=int, default=None, help="a free port there")
    add("standalone", action="store_true", help="one machine, any free port")
    add("rdzv-backend", default="static", help="static or c10d")
    add("rdzv-endpoint", default="", help="host:port, in place of the master's address and port")
    add("rdzv-id", default=None, help="a name of this run")
    add("max-restarts", type=int, default=0, help="how often to start again after a failure")
    add("monitor-interval", type=float, default=0.1, help="seconds between looks at the processes")
    add("no-python", action="store_true", help="the program is run as it is")
    parser.add_argument("-m", "--module", action="store_true", help="the program is a module")
    parser.add_argument("training_script", help="the program")
    parser.add_argument("training_script_args", nargs=argparse.REMAINDER)
    return parser


def parse_args(args=None):
    return get_args_parser().parse_args(args)


def _count(text):
    if text in ("auto", "cpu"):
        return os.cpu_count()
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"Unsupported nproc_per_node value: {text}") from None


def _free_port():
    from . import _wire

    with _wire.listen("127.0.0.1") as listener:
        return listener.getsockname()[1]


def _command(args):
    if args.no_python:
        return [args.training_script, *args.training_script_args]
    python = [sys.executable, "-u", "-m", "flambeau"]
    if args.module:
        python.append("-m")
    return [*python, args.training_script, *args.training_script_args]


def _environments(args, restart):
    """The environment of each process of this machine."""
    here, nodes = _count(args.nproc_per_node), int(args.nnodes.rpartition(":")[2])
    host, port = args.master_addr, args.master_port
    if args.rdzv_endpoint and not args.standalone:
        host, _, given = args.rdzv_endpoint.partition(":")
        port = int(given or 29400)
    if nodes == 1 and (args.standalone or port in (None, 0)):
        host, port = host or "127.0.0.1", _free_port()
    common = {
        "MASTER_ADDR": host or "127.0.0.1",
        "MASTER_PORT": port or 29500,
        "WORLD_SIZE": nodes * here,
        "LOCAL_WORLD_SIZE": here,
        "GROUP_RANK": args.node_rank,
        "GROUP_WORLD_SIZE": nodes,
        "ROLE_NAME": "default",
        "ROLE_WORLD_SIZE": nodes * here,
        "TORCHELASTIC_RESTART_COUNT": restart,
        "TORCHELASTIC_MAX_RESTARTS": args.max_restarts,
        "TORCHELASTIC_RUN_ID": args.rdzv_id or uuid.uuid4().hex,
        "TORCHELASTIC_USE_AGENT_STORE": "False",
    }
    if here > 1:
        common.setdefault("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    for local in range(here):
        rank = args.node_rank * here + local
        own = {"RANK": rank, "LOCAL_RANK": local, "ROLE_RANK": rank}
        yield {**os.environ, **{name: str(value) for name, value in {**common, **own}.items()}}


def _wait(processes, interval):
    """The first that failed, None once all have ended well."""
    while True:
        codes = [process.poll() for process in processes]
        for process, code in zip(processes, codes):
            if code:
                return process
        if None not in codes:
            return None
        time.sleep(interval)


def _end(processes):
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(args):
    """Starts the processes; SystemExit with the code of the first that failed."""
    for restart in range(args.max_restarts + 1):
        processes = [
            subprocess.Popen(_command(args), env=environment)
            for environment in _environments(args, restart)
        ]
        try:
            failed = _wait(processes, args.monitor_interval)
        finally:
            _end(processes)
        if failed is None:
            return
        code = failed.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        rank = processes.index(failed)
        print(
            f"flambeau.distributed.run: local rank {rank} (pid {failed.pid}) ended with {how}",
            file=sys.stderr,
        )
    raise SystemExit(1)


def main(args=None):
    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    run(parse_args(args))


if __name__ == "__main__":
    main()
