#!/usr/bin/env python3
"""Tests of the module: what it finds, and a talk with a server that plays the collector.

    ./stubs.sh stubs && python3 -m unittest
"""

import concurrent.futures
import os
import pathlib
import unittest

import grpc
import module

HERE = pathlib.Path(__file__).resolve().parent
pb = module.Messages(os.environ.get("STUBS", str(HERE / "stubs")))

CLIENT, SERVER = bytes([10, 0, 0, 5]), bytes([198, 51, 100, 7])


def update(port, state=None):
    """One flow of CLIENT to a port of SERVER, as the collector tells it."""
    flow = pb.flow.Flow(
        tuple=pb.flow.FiveTuple(
            originator_ip=CLIENT, originator_port=40000, responder_ip=SERVER, responder_port=port, protocol=6
        ),
        community_id=bytes(20),
        state=pb.flow.CONN_STATE_SF if state is None else state,
        first=1_000_000_000,
        last=2_000_000_000,
    )
    return pb.profile.WindowUpdate(
        delta=pb.profile.ProfileDelta(profile=CLIENT), flows=[pb.flow.FlowUpdate(flow=flow)]
    )


class Inspect(unittest.TestCase):
    def test_a_login_is_a_finding(self):
        (finding,) = module.inspect(pb, update(23))
        self.assertEqual(finding.profile, CLIENT)
        self.assertEqual(finding.victim, SERVER)
        self.assertIn("198.51.100.7", finding.description)

    def test_the_same_server_is_the_same_finding(self):
        keys = {finding.key for _ in range(2) for finding in module.inspect(pb, update(23))}
        self.assertEqual(len(keys), 1)

    def test_other_traffic_is_none(self):
        self.assertEqual(list(module.inspect(pb, update(443))), [])
        self.assertEqual(list(module.inspect(pb, update(23, pb.flow.CONN_STATE_S0))), [])


class Collector:
    """Sends one entry and keeps what comes back."""

    def __init__(self):
        self.heard = []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        handler = grpc.stream_stream_rpc_method_handler(
            self.attach, pb.module.FromModule.FromString, pb.module.ToModule.SerializeToString
        )
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("lynceus.v1.Module", {"Attach": handler})]
        )
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def attach(self, messages, _context):
        self.heard.append(next(messages))
        yield pb.module.ToModule(welcome=pb.module.ModuleWelcome(cursor=6))
        yield pb.module.ToModule(updates=pb.module.ModuleUpdates(cursor=7, updates=[update(23), update(80)]))
        for message in messages:
            self.heard.append(message)
            if message.WhichOneof("message") == "ack":
                return


class Talk(unittest.TestCase):
    def test_findings_come_before_their_acknowledgement(self):
        collector = Collector()
        with grpc.insecure_channel(f"127.0.0.1:{collector.port}") as channel:
            module.attach(pb, channel)
        collector.server.stop(None)
        what = [message.WhichOneof("message") for message in collector.heard]
        self.assertEqual(what, ["hello", "finding", "ack"])
        self.assertEqual(collector.heard[0].hello.name, module.NAME)
        self.assertEqual(collector.heard[2].ack.cursor, 7)


if __name__ == "__main__":
    unittest.main()
