"""python -m flambeau.distributed.launch: the old name of flambeau.distributed.run."""

from .run import main

if __name__ == "__main__":
    main()
