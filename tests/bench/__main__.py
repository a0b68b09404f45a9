"""`make bench`: the figures that the README names. Takes some minutes; nothing here is asserted."""

import asyncio

from tests.bench import ack_speed, dataverse_speed, export_speed

if __name__ == "__main__":
    asyncio.run(export_speed.main(1_000_000))
    asyncio.run(dataverse_speed.main(1_500_000))
    asyncio.run(ack_speed.main(200_000))
