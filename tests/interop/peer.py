"""What tests/interop asks of nats-py: a program that does what it is told on stdin, as tests/interop/peer/ does with async-nats.

    python3 peer.py nats://127.0.0.1:4222

A request is a line of words in hexadecimal, separated by blanks: the operation and its arguments; the answer is a line,
`ok` or `error` and words in the same form. Arguments are bytes; `text` and `int` below make of them what an operation wants.
"""

import asyncio
import json
import os
import sys

import nats
from nats.js import api, errors

CHUNK = 128 * 1024


def text(word):
    return word.decode()


def pairs(words):
    """Headers, or None: an empty dict would be sent as a block without any."""
    words = [text(w) for w in words]
    return dict(zip(words[::2], words[1::2])) or None


def flat(mapping):
    """The words of a dict, sorted; a value may be a list."""
    words = []
    for name in sorted(mapping or {}):
        value = mapping[name]
        for one in value if isinstance(value, list) else [value]:
            words += [name, one]
    return words


class Peer:
    def __init__(self, nc):
        self.nc = nc
        self.js = nc.jetstream()
        self.streams = {}  # by number: what gives one entry, message or info after the other
        self.services = []

    def keep(self, queue):
        number = len(self.streams) + 1
        self.streams[number] = queue
        return [number]

    # ---- core

    async def op_core_respond(self, subject):
        async def answer(msg):
            await self.nc.publish(msg.reply, msg.data[::-1], headers={**(msg.headers or {}), "Peer": "nats-py"})

        await self.nc.subscribe(text(subject), cb=answer)
        await self.nc.flush()
        return []

    async def op_core_request(self, subject, data, *headers):
        msg = await self.nc.request(text(subject), data, timeout=5, headers=pairs(headers))
        return [msg.data, *flat(msg.headers)]

    async def op_core_subscribe(self, subject):
        sub = await self.nc.subscribe(text(subject))
        await self.nc.flush()
        return self.keep(sub)

    async def op_core_next(self, number):
        msg = await self.streams[int(number)].next_msg(timeout=5)
        return [msg.subject, msg.reply, msg.data, *flat(msg.headers)]

    async def op_core_publish(self, subject, reply, data, *headers):
        await self.nc.publish(text(subject), data, reply=text(reply), headers=pairs(headers))
        await self.nc.flush()
        return []

    # ---- streams and consumers

    async def op_js_stream(self, name, subject):
        await self.js.add_stream(name=text(name), subjects=[text(subject)])
        return []

    async def op_js_publish(self, subject, data, *headers):
        ack = await self.js.publish(text(subject), data, headers=pairs(headers))
        return [ack.seq, int(bool(ack.duplicate))]

    async def op_js_get(self, stream, seq):
        msg = await self.js.get_msg(text(stream), int(seq))
        return [msg.subject, msg.data or b"", *flat(msg.headers)]

    async def op_js_consumer(self, stream, name):
        await self.js.add_consumer(text(stream), durable_name=text(name), ack_policy="explicit", ack_wait=60)
        return []

    async def op_js_fetch(self, stream, name, count):
        sub = await self.js.pull_subscribe_bind(consumer=text(name), stream=text(stream))
        words = []
        for msg in await sub.fetch(int(count), timeout=5):
            await msg.ack_sync()
            words += [msg.metadata.sequence.stream, msg.metadata.num_delivered, msg.data]
        await sub.unsubscribe()
        return words

    async def op_js_consumer_state(self, stream, name):
        info = await self.js.consumer_info(text(stream), text(name))
        return [info.ack_floor.stream_seq, info.num_ack_pending, info.num_pending]

    # ---- buckets

    async def op_kv_create_bucket(self, bucket, history, marker_ms):
        await self.js.create_key_value(
            bucket=text(bucket), history=int(history), limit_marker_ttl=int(marker_ms) / 1000 or None, direct=True
        )
        return []

    async def kv(self, bucket):
        return await self.js.key_value(text(bucket))

    async def op_kv_put(self, bucket, key, value):
        return [await (await self.kv(bucket)).put(text(key), value)]

    async def op_kv_create(self, bucket, key, value, ttl_ms):
        return [await (await self.kv(bucket)).create(text(key), value, msg_ttl=int(ttl_ms) / 1000 or None)]

    async def op_kv_update(self, bucket, key, value, revision):
        return [await (await self.kv(bucket)).update(text(key), value, last=int(revision))]

    async def op_kv_delete(self, bucket, key):
        await (await self.kv(bucket)).delete(text(key))
        return []

    async def op_kv_purge(self, bucket, key, ttl_ms):
        await (await self.kv(bucket)).purge(text(key), msg_ttl=int(ttl_ms) / 1000 or None)
        return []

    async def op_kv_get(self, bucket, key, revision):
        entry = await (await self.kv(bucket)).get(text(key), revision=int(revision) or None)
        return [entry.value or b"", entry.revision]

    async def op_kv_history(self, bucket, key):
        words = []
        for entry in await (await self.kv(bucket)).history(text(key)):
            words += [entry.operation or "PUT", entry.revision, entry.value or b""]
        return words

    async def op_kv_keys(self, bucket):
        return sorted(await (await self.kv(bucket)).keys())

    async def op_kv_status(self, bucket):
        status = await (await self.kv(bucket)).status()
        return [status.history, status.values, int((status.ttl or 0) * 1000)]

    async def op_kv_watch(self, bucket, pattern):
        return self.keep(await (await self.kv(bucket)).watch(text(pattern)))

    async def op_kv_next(self, number):
        while True:
            entry = await self.streams[int(number)].updates(timeout=10)
            # The end of what there was is an empty one.
            if entry:
                return [entry.operation or "PUT", entry.key, entry.revision, entry.value or b""]

    # ---- object stores

    async def op_obj_create_store(self, bucket):
        await self.js.create_object_store(text(bucket))
        return []

    async def op_obj_put(self, bucket, name, path, description, chunk, *rest):
        """What follows are triples: h NAME VALUE is a header; nats-py has no metadata (m)."""
        words = [text(word) for word in rest]
        headers = {}
        for kind, header, value in zip(words[::3], words[1::3], words[2::3]):
            if kind == "h":
                headers.setdefault(header, []).append(value)
        meta = api.ObjectMeta(
            description=text(description) or None,
            headers=headers or None,
            options=api.ObjectMetaOptions(max_chunk_size=int(chunk) or CHUNK),
        )
        store = await self.js.object_store(text(bucket))
        with open(text(path), "rb") as file:
            return self.info(await store.put(text(name), file, meta=meta))

    async def op_obj_get(self, bucket, name, path):
        store = await self.js.object_store(text(bucket))
        with open(text(path), "wb") as file:
            result = await store.get(text(name), writeinto=file)
            # Of what a link leads to it returns the bytes, and writes none.
            file.write(result.data)
        return self.info(result.info)

    def info(self, info):
        """size chunks digest deleted description chunk-size link-bucket link-name, then triples as for put."""
        options = info.options
        link = options.link if options else None
        words = [info.size or 0, info.chunks or 0, info.digest or "", int(bool(info.deleted)), info.description or ""]
        words += [(options.max_chunk_size if options else 0) or 0, link.bucket if link else "", (link.name if link else "") or ""]
        headers = flat(info.headers)
        for name, value in zip(headers[::2], headers[1::2]):
            words += ["h", name, value]
        return words

    async def op_obj_info(self, bucket, name):
        store = await self.js.object_store(text(bucket))
        return self.info(await store.get_info(text(name), show_deleted=True))

    async def op_obj_list(self, bucket):
        store = await self.js.object_store(text(bucket))
        return sorted(info.name for info in await store.list(ignore_deletes=True))

    async def op_obj_delete(self, bucket, name):
        await (await self.js.object_store(text(bucket))).delete(text(name))
        return []

    async def op_obj_seal(self, bucket):
        await (await self.js.object_store(text(bucket))).seal()
        return []

    async def op_obj_watch(self, bucket):
        store = await self.js.object_store(text(bucket))
        return self.keep(await store.watch(updates_only=True))

    async def op_obj_next(self, number):
        while True:
            info = await self.streams[int(number)].updates(timeout=10)
            if info:
                return [info.name, int(bool(info.deleted)), info.size or 0]

    # ---- services

    async def op_svc_start(self, name, version, description, group, endpoint):
        """An endpoint that answers with its input turned round; `fail` is answered with the error 409."""
        from nats.micro import add_service
        from nats.micro.service import EndpointConfig, ServiceConfig

        async def handler(request):
            if request.data == b"fail":
                await request.respond_error("409", "as you wanted", data=b"details")
            else:
                await request.respond(request.data[::-1])

        service = await add_service(
            self.nc, ServiceConfig(name=text(name), version=text(version), description=text(description), metadata={"peer": "nats-py"})
        )
        await service.add_group(name=text(group)).add_endpoint(EndpointConfig(name=text(endpoint), handler=handler))
        await self.nc.flush()
        self.services.append(service)
        return [service.id]

    async def op_svc_ask(self, kind, name):
        """What the first instance says, as this client understands it."""
        from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

        cls = {"PING": ServicePing, "INFO": ServiceInfo, "STATS": ServiceStats}[text(kind)]
        said = json.loads((await self.nc.request(f"$SRV.{text(kind)}.{text(name)}", timeout=5)).data)
        for endpoint in said.get("endpoints", []):
            # It wants what only services with a handler for statistics say.
            endpoint.setdefault("data", None)
        said = cls.from_dict(said)
        words = [said.type, said.name, said.version]
        if cls is ServiceStats:
            for e in said.endpoints:
                words += [e.name, e.subject, e.queue_group, e.num_requests, e.num_errors]
        else:
            words += [said.metadata.get("made", "")]
        if cls is ServiceInfo:
            words.append(said.description)
            for e in said.endpoints:
                words += [e.name, e.subject, e.queue_group, (e.metadata or {}).get("of", "")]
        return words

    async def op_svc_stop(self):
        while self.services:
            await self.services.pop().stop()
        return []


KINDS = [
    (errors.KeyWrongLastSequenceError, "wrong-revision"),
    (errors.NotFoundError, "not-found"),
    (errors.KeyNotFoundError, "not-found"),
    (errors.KeyDeletedError, "not-found"),
    (errors.NoKeysError, "not-found"),
]


def kind_of(error):
    return next((kind for cls, kind in KINDS if isinstance(error, cls)), type(error).__name__)


def line_of(outcome, words):
    def hexed(word):
        return (word if isinstance(word, (bytes, bytearray)) else str(word).encode()).hex()

    return " ".join([outcome, *map(hexed, words)]) + "\n"


async def main(url):
    # The tests restart servers.
    async def quiet(error):
        pass

    nc = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=quiet)
    peer = Peer(nc)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        op, *arguments = [bytes.fromhex(word) for word in line.rstrip("\n").split(" ")]
        try:
            answer = line_of("ok", await getattr(peer, "op_" + op.decode())(*arguments))
        except Exception as error:
            answer = line_of("error", [kind_of(error), f"{type(error).__name__}: {error}"])
        sys.stdout.write(answer)
        sys.stdout.flush()
    # Closing would wait for a server that may be gone.
    os._exit(0)


asyncio.run(main(sys.argv[1]))
