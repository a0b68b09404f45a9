"""`make bench`: the figures that the README names. Takes some minutes; nothing here is asserted."""

import asyncio

from tests.bench.export_speed import main

if __name__ == "__main__":
    asyncio.run(main(1_000_000))
