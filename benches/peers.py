"""A row of peers.tcl by nats-py: `python3 peers.py PORT ROW N CONSUMER` prints its seconds."""

import asyncio
import sys
import time

import nats

VALUE = b"x" * 128


async def main(port, row, n, consumer):
    nc = await nats.connect(f"nats://127.0.0.1:{port}")
    js = nc.jetstream(timeout=60)
    if row in ("put", "get", "many"):
        kv = await js.key_value("small")
    elif row == "watch":
        kv = await js.key_value("large")
    elif row == "pull":
        sub = await js.pull_subscribe_bind(consumer=consumer, stream="READ")
    start = time.perf_counter()
    if row == "put":
        for i in range(n):
            await kv.put(f"key{i % 1000}", VALUE)
    elif row == "get":
        for i in range(n):
            await kv.get(f"key{i % 1000}")
    elif row == "many":
        # It has no command for many keys: so many gets are in flight.
        for _ in range(n // 1000):
            await asyncio.gather(*(kv.get(f"key{i}") for i in range(1000)))
    elif row == "watch":
        watcher, count = await kv.watchall(), 0
        async for entry in watcher:
            if entry is None:
                break
            count += 1
        assert count == n, count
    elif row == "publish":
        for _ in range(n):
            await nc.publish("bench.nobody", VALUE)
        await nc.flush(60)
    elif row == "request":
        for _ in range(n):
            await nc.request("bench.service", VALUE, timeout=60)
    elif row == "pull":
        done = 0
        while done < n:
            for msg in await sub.fetch(500, timeout=60):
                await msg.ack()
                done += 1
        await nc.flush(60)
    else:
        raise ValueError(row)
    print(time.perf_counter() - start)
    await nc.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
